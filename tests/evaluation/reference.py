"""Values of the metrics by another route, for `expected.json`: torchvision's networks and Resize,
the package lpips, and plain formulas in float64.

Needs torchvision and lpips, which the project itself does not: python -m
tests.evaluation.reference prints the file.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import json

import numpy as np
import torch

from tests.evaluation.drawn import PAIRS, blend, draw, made_up_weights


def expected() -> dict[str, object]:
    """The metrics of the drawn pictures, of single pairs and of all."""
    import lpips
    import torchvision

    weights = {
        network: {name: torch.from_numpy(value) for name, value in tensors.items()}
        for network, tensors in made_up_weights().items()
    }
    inception = torchvision.models.inception_v3(weights=None, init_weights=False)
    inception.load_state_dict(weights["art_inception"], strict=False)
    inception.fc, inception.dropout = torch.nn.Identity(), torch.nn.Identity()
    inception = inception.double().eval()
    vgg = torchvision.models.vgg19(weights=None)
    vgg.load_state_dict(weights["vgg19"], strict=False)
    vgg = vgg.features[:12].double().eval()
    alexnet = torchvision.models.alexnet(weights=None)
    alexnet.load_state_dict(weights["alexnet"], strict=False)
    distance = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    for slice_ in distance.net.children():
        for name, layer in slice_.named_children():
            layer.load_state_dict(alexnet.features[int(name)].state_dict())
    distance = distance.double().eval()
    resize = torchvision.transforms.Resize(512)
    pixels = torchvision.transforms.functional.to_tensor

    def large(image, mode="RGB"):
        return pixels(resize(image).convert(mode)).double()[None]

    def similarities(image):
        usual = torchvision.models.VGG19_Weights.DEFAULT.transforms()
        x = torchvision.transforms.functional.normalize(
            pixels(image).double(), usual.mean, usual.std
        )
        f = vgg(x[None])[0].flatten(1).T / 256
        return torch.softmax(f @ f.T, 1)

    def histogram(image):
        rgb = pixels(image).double().numpy().reshape(3, -1)
        weight = np.sqrt((rgb**2).sum(0) + 1e-6)
        logs, bins = np.log(rgb + 1e-6), np.linspace(-3, 3, 64)
        planes = []
        for channel in range(3):
            u, v = (logs[channel] - logs[other] for other in range(3) if other != channel)
            ku, kv = (1 / (1 + ((d[:, None] - bins) / 0.02) ** 2) for d in (u, v))
            planes.append(np.einsum("p,pu,pv->uv", weight, ku, kv))
        return np.stack(planes) / (np.sum(planes) + 1e-6)

    pairs, results, styles = [], [], []
    with torch.no_grad():
        for content, style in PAIRS:
            made, before, look = blend(content, style), draw(content), draw(style)
            p, q = similarities(before), similarities(made)
            h, g = histogram(made), histogram(look)
            pairs.append(
                {
                    "content": content,
                    "style": style,
                    "lpips": distance(large(before), large(made), normalize=True).item(),
                    "lpips_gray": distance(
                        large(before, "L"), large(made, "L"), normalize=True
                    ).item(),
                    "cfsd": (p * (p / q).log()).sum().item(),
                    "histogram_loss": float(np.sqrt(((h**0.5 - g**0.5) ** 2).sum() / 2)),
                }
            )
            results.append(inception(large(made))[0].numpy())
            styles.append(inception(large(look))[0].numpy())
    one, two = np.stack(results), np.stack(styles)
    covariances = np.cov(one.T), np.cov(two.T)
    # The eigenvalues of C1 C2 other than 0 are the eigenvalues of a small matrix.
    a, b = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (one, two))
    root = np.sqrt(np.linalg.eigvalsh(a @ b.T @ b @ a.T).clip(0)).sum()
    means = one.mean(0) - two.mean(0)
    fid = float(means @ means + sum(np.trace(c) for c in covariances) - 2 * root)
    whole = {name: float(np.mean([pair[name] for pair in pairs])) for name in list(pairs[0])[2:]}
    whole = {"fid": fid, **whole, "artfid": (1 + whole["lpips"]) * (1 + fid)}
    versions = {
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "lpips": "0.1.4",
    }
    return {"whole": whole, "pairs": pairs, "versions": versions}


if __name__ == "__main__":
    print(json.dumps(expected(), indent=1))

"""Train a small image classifier on an `imagefolder` export: a start to copy and to change.

    styleid-ray export out/run --to out/train --format imagefolder --mix 4:1
    python examples/train_classifier.py out/train --val photos/val --steps 2000

The export holds CLASS/NAME__STYLE.jpg, the originals that --mix adds, and metadata.jsonl, which
tells the two apart: accuracy is reported for each. Give --val class folders of original pictures
that the export does not hold, such as the dataset's own validation split: only they tell how well
the model does on new pictures.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, RandomSampler, Subset

EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp"}
MOST_EVALUATED = 2000
"""Pictures that an accuracy is measured on: training sets may hold a million."""


class ClassFolders(Dataset):
    """Pictures in CLASS/, with the number of their class and whether they are originals."""

    def __init__(self, root: Path, size: int, classes: list[str] | None = None) -> None:
        """Args: classes: those that a model knows already; None takes the folders in order, as
        torchvision's ImageFolder numbers them."""
        rows = read_metadata(root)
        # Exports with label masks have the class folders in images/, beside those of masks/.
        top = root / "images" if rows and "mask_file_name" in rows[0] else root
        folders = sorted(folder.name for folder in top.glob("*") if folder.is_dir())
        self.classes = folders if classes is None else classes
        self.size, self.train = size, False
        self.paths, self.labels = list[Path](), list[int]()
        for name in folders:
            if name not in self.classes:
                raise SystemExit(f"error: {root} has the class {name}, which DATASET lacks")
            pictures = pictures_in(top / name)
            self.paths += pictures
            self.labels += [self.classes.index(name)] * len(pictures)
        if len(self.classes) < 2 or not self.paths:
            raise SystemExit(f"error: {root} does not hold pictures in two class folders or more")
        # A folder without metadata.jsonl is no export, so all its pictures are originals.
        stylised = {root / row["file_name"] for row in rows if not row["original"]}
        self.original = torch.tensor([path not in stylised for path in self.paths])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        size = (self.size, self.size)
        with Image.open(self.paths[i]) as image:
            image.draft("RGB", size)  # a large JPEG is decoded at a fraction of its size: faster
            # Originals are copied byte for byte, so their EXIF rotation is still to be applied.
            square = ImageOps.fit(ImageOps.exif_transpose(image).convert("RGB"), size)
        pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1) / 127.5 - 1
        if self.train and torch.rand(()) < 0.5:
            pixels = pixels.flip(-1)
        return pixels, self.labels[i]


def pictures_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS)


def read_metadata(root: Path) -> list[dict]:
    """The rows of metadata.jsonl; none where there is no such file."""
    path = root / "metadata.jsonl"
    lines = path.read_bytes().splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def find_export(dataset: Path) -> Path:
    """The export itself, or its training split."""
    for root in (dataset / "train", dataset):
        if (root / "metadata.jsonl").is_file():
            return root
    raise SystemExit(
        f"error: {dataset} is no imagefolder export (it has no metadata.jsonl): make one with "
        "styleid-ray export RUN --to DATASET --format imagefolder --mix 4:1"
    )


def make_model(classes: int) -> nn.Module:
    """Four strided convolutions and a linear layer. GroupNorm rather than BatchNorm, whose
    statistics would mix stylised and original pictures, which are far apart."""
    layers: list[nn.Module] = []
    channels = 3
    for width in (32, 64, 128, 256):
        layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.GroupNorm(8, width)]
        layers += [nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, classes))


def train(model: nn.Module, data: ClassFolders, options: Namespace) -> None:
    """Trains for a number of steps and prints loss and accuracy since the last line."""
    data.train = True
    # One pass over the sampler is all of the training: it shuffles again each time round.
    sampler = RandomSampler(data, num_samples=options.steps * options.batch)
    loader = DataLoader(data, options.batch, sampler=sampler, num_workers=options.workers)
    optimizer = torch.optim.AdamW(model.parameters(), options.lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.lr, options.steps)
    every, losses, hits = max(1, options.steps // 20), [], []
    for step, (pixels, labels) in enumerate(loader, 1):
        pixels, labels = pixels.to(options.device), labels.to(options.device)
        logits = model(pixels)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
        hits.append((logits.argmax(1) == labels).float().mean())
        if step % every == 0 or step == options.steps:
            mean_loss, accuracy = torch.stack(losses).mean(), torch.stack(hits).mean()
            print(f"step {step:5}  loss {mean_loss:.3f}  accuracy {accuracy:.1%}", flush=True)
            losses, hits = [], []


@torch.no_grad()
def accuracy(model: nn.Module, data: ClassFolders, chosen: Tensor, options: Namespace) -> str:
    """The accuracy on the pictures with these numbers, or on a sample of them."""
    chosen = chosen[torch.randperm(len(chosen))[:MOST_EVALUATED]]
    data.train = False
    loader = DataLoader(Subset(data, chosen.tolist()), options.batch, num_workers=options.workers)
    hits = 0
    for pixels, labels in loader:
        hits += int((model(pixels.to(options.device)).argmax(1).cpu() == labels).sum())
    return f"{hits / len(chosen):.1%} of {len(chosen):,} pictures"


def parse(argv: list[str] | None) -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument(
        "dataset", type=Path, metavar="DATASET", help="folder of the export, or of its splits"
    )
    parser.add_argument(
        "--val", type=Path, metavar="DIR", help="class folders of originals to validate on"
    )
    parser.add_argument("--steps", type=int, default=1000, help="optimizer steps (1000)")
    parser.add_argument("--batch", type=int, default=64, help="pictures per step (64)")
    parser.add_argument("--size", type=int, default=64, help="pixels per side (64)")
    parser.add_argument("--lr", type=float, default=2e-3, help="highest learning rate (0.002)")
    parser.add_argument("--workers", type=int, default=2, help="processes that read pictures (2)")
    parser.add_argument("--seed", type=int, default=0, help="on a CPU, same seed, same result (0)")
    parser.add_argument("--device", default="auto", help="such as cpu or cuda:1 (auto)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write weights and class names")
    options = parser.parse_args(argv)
    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    return options


def main(argv: list[str] | None = None) -> None:
    options = parse(argv)
    torch.manual_seed(options.seed)
    data = ClassFolders(find_export(options.dataset), options.size)
    # Opened before training, so that a wrong --val does not waste it.
    val = ClassFolders(options.val, options.size, data.classes) if options.val else None
    originals = int(data.original.sum())
    print(f"{len(data) - originals:,} stylised and {originals:,} original pictures")
    print(f"{len(data.classes)} classes: {', '.join(data.classes[:10])}")
    model = make_model(len(data.classes)).to(options.device)
    train(model, data, options)
    for name, pictures in (("training", data), ("validation", val)):
        for kind, which in (("original", True), ("stylised", False)):
            if pictures and (chosen := (pictures.original == which).nonzero().flatten()).numel():
                print(f"{name} accuracy, {kind}: {accuracy(model, pictures, chosen, options)}")
    if options.save:
        content = {"model": model.state_dict(), "classes": data.classes, "size": options.size}
        options.save.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, options.save)
        print(f"saved to {options.save}")


if __name__ == "__main__":
    main()

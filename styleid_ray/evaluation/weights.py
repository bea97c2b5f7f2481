"""The weights of the networks, from a folder or downloaded from their authors."""

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from styleid_ray.errors import ConfigError, RowError, first_line
from styleid_ray.evaluation.networks import Weights, alexnet, inception, vgg19_conv3
from styleid_ray.storage.fetch import fetch
from styleid_ray.storage.store import Store

_SUFFIXES = (".safetensors", ".pth")
_SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Network:
    """One network of the metrics."""

    name: str
    """Name of its file, without the suffix."""
    metrics: tuple[str, ...]
    """Metrics that need the network."""
    forward: Callable[[Tensor, Weights], object]
    url: str
    """Its authors' publication. The name may end with the first digits of its SHA-256, as
    torchvision's do."""
    foreign: str = ""
    """A tensor that only another network of the same layout has."""

    @property
    def cached(self) -> Path:
        """The file in PyTorch's cache of downloads."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.url.rsplit("/", 1)[-1]


NETWORKS = (
    Network(
        "art_inception",
        ("fid", "artfid"),
        inception,
        "https://huggingface.co/matthias-wright/art_inception/resolve/main/art_inception.pth",
        foreign="fc.weight",
    ),
    Network(
        "alexnet",
        ("lpips", "lpips_gray", "artfid"),
        alexnet,
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    ),
    Network(
        "vgg19",
        ("cfsd",),
        vgg19_conv3,
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    ),
)


@dataclass(frozen=True)
class Loaded:
    """The networks that are available."""

    weights: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    """The used tensors by network."""
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    """File and SHA-256 of each, for the record."""
    missing: dict[str, str] = field(default_factory=dict)
    """Why a metric is not computed."""


def load_weights(folder: str | None, say: Callable[[str], None] = lambda line: None) -> Loaded:
    """Reads the networks' weights.

    Args:
        folder: with `art_inception`, `alexnet` and `vgg19`, each `.safetensors` or `.pth`, checked
            against a file `SHA256SUMS` if it has one. Without a folder the networks are downloaded
            once, to PyTorch's cache.
        say: gets a line before a download.

    Returns:
        The available networks. A metric whose network is missing has a reason in `missing`.

    Raises:
        ConfigError: the folder does not exist, or a file is damaged or of another network.
    """
    if folder is not None and not Path(folder).is_dir():
        raise ConfigError(f"--weights {folder}: there is no such folder on this machine")
    sums = _read_sums(Path(folder)) if folder is not None else {}
    loaded = Loaded()
    for network in NETWORKS:
        try:
            path = _cached(network, say) if folder is None else _in_folder(network, Path(folder))
        except FileNotFoundError as e:
            for metric in network.metrics:
                loaded.missing.setdefault(metric, str(e))
            continue
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if sums.get(path.name, digest) != digest:
            raise ConfigError(f"{path} is not the file that {_SUMS} beside it names: get it again")
        loaded.weights[network.name] = _checked(network, path, _parsed(path, data))
        loaded.files[network.name] = {"file": str(path), "sha256": digest}
    return loaded


def _in_folder(network: Network, folder: Path) -> Path:
    for suffix in _SUFFIXES:
        if (path := folder / (network.name + suffix)).is_file():
            return path
    names = " or ".join(network.name + suffix for suffix in _SUFFIXES)
    raise FileNotFoundError(f"{folder} has no {names} ({network.url})")


def _cached(network: Network, say: Callable[[str], None]) -> Path:
    path = network.cached
    if path.is_file():
        return path
    say(f"downloading {network.url} to {path}")
    try:
        data = fetch(network.url).data
        _, dash, digits = path.stem.rpartition("-")
        if dash and not hashlib.sha256(data).hexdigest().startswith(digits):
            raise RowError("fetch", "it is not the file that its name says, by its SHA-256")
    except RowError as e:
        raise FileNotFoundError(
            f"{network.url} could not be downloaded ({e}): put that file at {path}, or into a "
            f"folder for --weights as {network.name}.pth"
        ) from e
    store, name = Store.at_file(str(path), "weights")
    store.write(name, data)
    return path


def _read_sums(folder: Path) -> dict[str, str]:
    path = folder / _SUMS
    if not path.is_file():
        return {}
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    return {words[-1].lstrip("*"): words[0].lower() for words in lines}


def _parsed(path: Path, data: bytes) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load(data)
        tensors = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as e:  # safetensors, zip and pickle have errors of their own
        raise ConfigError(f"{path} is damaged, or no file of weights alone: {first_line(e)}") from e
    return tensors if isinstance(tensors, dict) else {}


def _checked(network: Network, path: Path, tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors that the network uses, in float32.

    A dry run without numbers finds them; it fails at a missing name or a wrong shape.
    """
    used = _Used(tensors)
    try:
        if network.foreign in tensors:
            raise ValueError(f"it has {network.foreign}")
        with torch.inference_mode():
            network.forward(torch.empty(1, 3, 128, 128, device="meta"), used)
    except KeyError as e:
        raise ConfigError(f"{path} has no {e.args[0]}: these are weights of another network") from e
    except (RuntimeError, ValueError, AttributeError) as e:
        raise ConfigError(f"{path} holds weights of another network ({first_line(e)})") from e
    return {name: tensors[name].float().contiguous() for name in used.names}


class _Used(dict[str, Tensor]):
    """Tensors without numbers; remembers the requested names."""

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        super().__init__(tensors)
        self.names = dict[str, None]()

    def __getitem__(self, name: str) -> Tensor:
        tensor = super().__getitem__(name)
        self.names[name] = None
        return torch.empty(tensor.shape, device="meta")

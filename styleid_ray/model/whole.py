"""Checks that weights were downloaded whole."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open

from styleid_ray.errors import ModelError, first_line

PICKLES = (".bin", ".ckpt", ".pt", ".pth")
CONVERT = "convert it to safetensors first (pickles can run code and are never loaded)"
"""Advice for weights in a pickle."""
Shapes = Mapping[str, Sequence[int]]
"""Shapes of tensors by their names."""


def check_whole(what: str, weights: Sequence[str], folder: Path | None) -> None:
    """Refuses weights that were downloaded in part.

    Args:
        what: the owner of the weights, for the message.
        weights: names of the safetensors files.
        folder: of the files; None for files on the hub, of which only names are checked.

    Raises:
        ModelError: a file is missing, or shorter or longer than its header says.
    """
    counts = (re.search(r"-of-(\d{5})", name) for name in weights)
    wanted = max((int(match[1]) for match in counts if match), default=1)
    if len(weights) < wanted:
        raise ModelError(
            f"{what} has {len(weights)} of the {wanted} files of its weights: download the others "
            "too"
        )
    if folder:
        for name in weights:
            read_shapes(what, folder / name)


def read_shapes(what: str, path: Path) -> tuple[Shapes, Mapping[str, str]]:
    """Shapes of the tensors of a safetensors file, and its metadata; no weights are read.

    Raises:
        ModelError: `what` has a file that is damaged, or in another format.
    """
    if path.suffix in PICKLES:
        raise ModelError(f"{what} is a pickle: {CONVERT}")
    try:
        with safe_open(path, "np") as f:
            return {name: f.get_slice(name).get_shape() for name in f.keys()}, f.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as e:
        raise ModelError(
            f"{what}: {path.name} is cut off, damaged, or not a safetensors file "
            f"({first_line(e)}): download it again"
        ) from e

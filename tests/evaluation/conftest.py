"""Networks with made-up weights, and the drawn pictures' values by another route."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.evaluation.drawn import DATA, made_up_weights

Networks = dict[str, dict[str, Tensor]]


@pytest.fixture(scope="session")
def networks() -> Networks:
    """Tensors by network."""
    return {
        network: {name: torch.from_numpy(value) for name, value in tensors.items()}
        for network, tensors in made_up_weights().items()
    }


@pytest.fixture(scope="session")
def weights_folder(networks: Networks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for `--weights`."""
    import safetensors.torch

    folder = tmp_path_factory.mktemp("weights")
    torch.save(networks["art_inception"], folder / "art_inception.pth")
    torch.save(networks["vgg19"], folder / "vgg19.pth")
    safetensors.torch.save_file(networks["alexnet"], folder / "alexnet.safetensors")
    return folder


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    """The printed values of `tests.evaluation.reference`."""
    return json.loads((DATA / "expected.json").read_text())

"""Shared fixtures: the reference data and the small models that tests run on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Tiny tensors: threads would only wait for one another. Ray's workers inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

PARITY = Path(__file__).parent / "data" / "parity"


@pytest.fixture(scope="session")
def parity() -> Path:
    """Folder with reference tensors of the authors' two implementations."""
    return PARITY


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random model with every part of Stable Diffusion 1.x."""
    from tests.tiny_model import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")

"""Shared fixtures: the reference data and the small models that tests run on."""

from __future__ import annotations

from pathlib import Path

import pytest

PARITY = Path(__file__).parent / "data" / "parity"


@pytest.fixture(scope="session")
def parity() -> Path:
    """Folder with reference tensors of the authors' two implementations."""
    return PARITY

"""The engine on a GPU. Where there is none it says so, and that is no failure.

python -m tests.gpu
"""

from __future__ import annotations

import sys

import pytest
import torch


def main() -> int:
    """Exit status: 0 also where there is no GPU."""
    if not torch.cuda.is_available():
        print("no GPU that PyTorch can use, so nothing was tested")
        return 0
    return pytest.main(["-m", "gpu", "tests/gpu", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())

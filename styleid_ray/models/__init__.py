"""The embedded demo model: its weights, the pictures it learned from, and the code that trained it.

Importing this package loads neither torch nor Pillow.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["DEMO_MODEL"]

DEMO_MODEL: Path = Path(__file__).parent / "demo"
"""Folder with the trained weights in diffusers format."""

"""Command lines to copy from a preview."""

from __future__ import annotations

from styleid_ray.preview.lines import command_line


def test_a_share_of_zero_is_a_number_and_a_switch_is_a_flag() -> None:
    line = command_line("stylize", {"adain": False, "inject": False, "reuse": True})
    assert line == "styleid-ray stylize --adain 0 --no-inject --reuse"

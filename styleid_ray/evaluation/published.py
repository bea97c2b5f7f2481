"""Published figures of the paper's protocol: 20 contents x 40 styles at 512 pixels.

They were collected and are not verified against the cited papers.
"""

from collections.abc import Mapping
from typing import NamedTuple

PAIRS_OF_THE_PAPER = (20, 40, 800)
"""Contents, styles, pairs."""
WARNING = (
    "Compare only within one protocol: other contents, styles, sizes or numbers of pictures give "
    "other values for the same method."
)

_DIGITS = (3, 3, 4, 4)


class Row(NamedTuple):
    """Figures of one method; lower is better for each."""

    name: str
    artfid: float
    fid: float
    lpips: float
    cfsd: float | None
    source: str


_PAPER = "Chung et al. 2024 (arXiv 2312.09008)"
PUBLISHED = (
    Row("StyleID", 28.801, 18.131, 0.5055, 0.2281, _PAPER),
    Row("StyleID, gamma scheduled", 26.976, 16.124, 0.575, 0.297, "the authors; place not traced"),
    Row("AttenST", 28.693, 18.559, 0.467, None, "Huang et al. 2025 (arXiv 2503.07307)"),
    Row("InstantStyle-Plus", 25.886, 16.097, 0.514, None, "Wang et al. 2024 (arXiv 2407.00788)"),
    Row("StyleSSP", 21.499, 13.448, 0.488, None, "Xu et al. 2025 (arXiv 2501.11319)"),
    Row("StyTr2", 30.720, 18.890, 0.545, 0.301, _PAPER),
    Row("AdaIN", 30.933, 18.242, 0.608, 0.315, _PAPER),
    Row("AesPA-Net", 31.420, 19.760, 0.514, 0.246, _PAPER),
)


def beside_published(own: Mapping[str, float | None]) -> list[list[str]]:
    """A run among the published figures, best ArtFID first.

    Args:
        own: the run's values by metric.

    Returns:
        Rows of name, ArtFID, FID, LPIPS, CFSD and source, as text; an unknown figure is empty, and
        so is the source of the run.
    """
    mine = [own.get(metric) for metric in ("artfid", "fid", "lpips", "cfsd")]
    rows = [(row.name, [*row[1:5]], row.source) for row in PUBLISHED]
    rows = sorted([*rows, ("this run", mine, "")], key=lambda row: row[1][0] or float("inf"))
    return [[name, *map(_text, values, _DIGITS), source] for name, values, source in rows]


def table(own: Mapping[str, float | None]) -> list[str]:
    """`beside_published` as lines of a table."""
    lines = [f"{'method':<26}{'ArtFID':>9}{'FID':>9}{'LPIPS':>9}{'CFSD':>9}  source"]
    for name, *figures, source in beside_published(own):
        texts = [f"{figure or '-':>9}" for figure in figures]
        lines.append(f"{name:<26}{''.join(texts)}  {source}".rstrip())
    return [*lines, WARNING]


def _text(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"

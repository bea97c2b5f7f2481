"""Names of the metrics, and of the files of an evaluation."""

from __future__ import annotations

GROUPS = {
    "style": {"fid": "FID", "histogram_loss": "histogram loss"},
    "content": {"lpips": "LPIPS", "lpips_gray": "LPIPS, grey", "cfsd": "CFSD"},
    "product": {"artfid": "ArtFID"},
}
"""Style and content apart: a copy of the content can win on their product."""
NAMES = {metric: name for names in GROUPS.values() for metric, name in names.items()}
SUMMARY_FILE = "evaluation/summary.json"
PAIRS_FILE = "evaluation/pairs.parquet"
"""Metrics of each pair."""

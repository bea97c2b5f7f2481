"""The metrics of a set of stylised pictures, their names, and the files of an evaluation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from pydantic import TypeAdapter

from styleid_ray.batch.watch.progress import counted
from styleid_ray.evaluation.published import PAIRS_OF_THE_PAPER, table
from styleid_ray.storage.store import Store

GROUPS = {
    "style": {"fid": "FID", "histogram_loss": "histogram loss"},
    "content": {"lpips": "LPIPS", "lpips_gray": "LPIPS, grey", "cfsd": "CFSD"},
    "product": {"artfid": "ArtFID"},
}
"""Style and content are shown apart: a copy of the content can win on their product."""
NAMES = {metric: name for names in GROUPS.values() for metric, name in names.items()}
SUMMARY_FILE = "evaluation/summary.json"
PAIRS_FILE = "evaluation/pairs.parquet"
"""Metrics of each pair."""
METRICS = ("fid", "lpips", "lpips_gray", "cfsd", "histogram_loss", "artfid")


def without(missing: Mapping[str, str], short: str | None = None) -> list[str]:
    """Lines on the metrics that cannot be computed, one per reason; `short` replaces the reasons'
    texts."""
    lines = []
    for reason in dict.fromkeys(missing.values()):
        names = ", ".join(NAMES[metric] for metric, why in missing.items() if why == reason)
        lines.append(f"without {names}: {short or reason}")
    return lines


TOO_LARGE = "pictures above 1024 x 1024 pixels have too many patches"


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a set, and facts on the set."""

    values: Mapping[str, float | None]
    """By the names in `METRICS`; lower is better for each."""
    pairs: int
    contents: int
    """Distinct contents."""
    styles: int
    """Distinct styles."""
    missing: Mapping[str, str]
    """Why a metric is None."""
    unreadable: Mapping[str, Mapping[str, Any]]
    """By "result", "content" and "style": the number of pictures, and the reason for one."""
    weights: Mapping[str, Mapping[str, str]]
    """File and SHA-256 of each network."""
    counts: Mapping[str, int]
    """Pairs that have a metric, for the metrics of single pairs."""
    size: int | None = None
    """`--size` of a run, in pixels."""
    data_digest: str | None = None
    """Digest of a run's finished shards, as `Output.data_digest`."""

    @classmethod
    def read(cls, store: Store) -> Self:
        """The stored evaluation.

        Raises:
            FileNotFoundError: there is none.
            ValueError: its file is damaged.
        """
        stored = TypeAdapter(dict[str, Any]).validate_json(store.read(SUMMARY_FILE))
        values = {metric: stored.get(metric) for metric in METRICS}
        return TypeAdapter(cls).validate_python(stored | {"values": values})

    @property
    def as_the_paper(self) -> bool:
        """Whether the counts and the size, if known, are those of the paper's protocol."""
        numbers = (self.contents, self.styles, self.pairs)
        return numbers == PAIRS_OF_THE_PAPER and self.size in (None, 512)

    @property
    def exit_status(self) -> int:
        """0 when every metric covers all pairs, else 1."""
        return 1 if self.missing or self.unreadable else 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-like."""
        shown = [field.name for field in fields(self) if field.name != "values"]
        return {**self.values, **{name: getattr(self, name) for name in shown}}

    def as_json(self) -> str:
        """`as_dict` as text."""
        return json.dumps(self.as_dict(), indent=1)

    def lines(self) -> list[str]:
        """Lines for a person."""
        lines = [f"{self.pairs:,} pictures: {self.contents:,} contents, {self.styles:,} styles"]
        for group, names in GROUPS.items():
            for metric, name in names.items():
                value = self.values[metric]
                text = "-" if value is None else f"{value:.4f}"
                lines.append(f"{group:<8} {name:<15} {text}")
                group = ""
        lines += without(self.missing)
        for role, what in self.unreadable.items():
            of = "" if role == "result" else f"the {role} of "
            pictures = counted(what["pictures"], "picture")
            lines.append(f"{of}{pictures} could not be read, such as {what['example']}")
        if 0 < self.counts["cfsd"] < self.counts["lpips"]:
            lines.append(f"CFSD of {self.counts['cfsd']:,} pairs alone: {TOO_LARGE}")
        if self.as_the_paper:
            lines += ["", *table(self.values)]
        return lines

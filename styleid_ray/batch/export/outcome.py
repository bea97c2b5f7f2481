"""The options and the result of an export."""

from dataclasses import asdict, dataclass, field
from typing import Any

from styleid_ray.batch.watch.progress import counted
from styleid_ray.config import ExportFormat
from styleid_ray.quality.rule import no_value
from styleid_ray.storage.locations import shown

_MOST_NAMED = 10


@dataclass(frozen=True)
class ExportOptions:
    """The run, the place and the form of an export."""

    run: str
    """Output of the run."""
    to: str
    """Folder or URL of the export."""
    format: ExportFormat
    mix: float | None = None
    """Stylised pictures per original; None for no originals."""
    hub_id: str | None = None
    """OWNER/NAME of the dataset on the hub that the export is pushed to."""
    private: bool = False
    """Whether a new dataset on the hub is private."""
    address: str | None = None
    """Ray cluster, as `JobConfig.address`."""
    reject: str | None = None
    """Rule that replaces the run's own."""
    mark_rejected: bool = False
    """Whether rejected pairs are exported with true in a column `rejected`, instead of left out."""
    storage_options: dict[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Export:
    """A complete export."""

    to: str
    format: ExportFormat
    stylised: int
    originals: int
    planned: int
    """Pairs of the run."""
    done: int
    """Finished pairs of the run."""
    left_out: dict[str, str]
    """Contents with pictures that are not exported, and the reasons."""
    failed: list[str]
    """Contents without a finished pair."""
    digest: str
    """Changes with the exported pictures and labels."""
    items: int
    """Shards, and groups of originals."""
    hub_id: str | None = None
    """OWNER/NAME on the card."""
    reject: str | None = None
    """The rule, if there is one."""
    rejected: int = 0
    """Pairs that the rule rejects; they are left out or marked."""
    marked: bool = False
    without_value: tuple[str, ...] = ()
    """Measures of the rule without a value in any pair."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def lines(self, mixed: bool = False) -> list[str]:
        """A description for a person; `mixed` tells whether originals were requested."""
        counts = counted(self.stylised, "stylised picture")
        if self.originals or mixed:
            counts += f" and {counted(self.originals, 'original')} (chosen by a hash of the name)"
        lines = [f"{counts} as {self.format}, at {self.to}"]
        if self.done < self.planned:
            lines.append(f"the run has {self.done:,} of {self.planned:,} pairs so far")
        if self.reject:
            done = "marked" if self.marked else "left out"
            lines.append(f"{done}: {counted(self.rejected, 'pair')}, rejected by {self.reject}")
        if self.without_value:
            lines.append(no_value(self.without_value))
        for what, why in [*self.left_out.items()][:_MOST_NAMED]:
            lines.append(f"left out: {shown(what)}: {why}")
        for what in self.failed[:_MOST_NAMED]:
            lines.append(f"left out: {shown(what)}: every pair of it failed")
        more = sum(max(0, len(x) - _MOST_NAMED) for x in (self.left_out, self.failed))
        return [*lines, f"left out: {more:,} more"] if more else lines

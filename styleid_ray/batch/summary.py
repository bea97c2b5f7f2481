"""The end of a command on a run: `summary.json`, the exit status and the closing lines."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from styleid_ray.batch.folder.failures import read_failures
from styleid_ray.batch.folder.output import SUMMARY, Output
from styleid_ray.batch.limits import resume_hint
from styleid_ray.batch.remake import Remake
from styleid_ray.batch.watch.progress import counted, duration


@dataclass(frozen=True)
class Summary:
    """The end of a run. Counts are of the whole output; `session` is about this call."""

    output: str
    planned: int
    done: int
    failed: int
    missing: int
    session: dict[str, float]
    """Pairs done and failed, shards, seconds in total and per stage, pairs_per_second,
    unet_evaluations, inversions made and reused, peak_feature_bytes of an actor, bytes_in,
    bytes_out, gpu_hours and busy_share of the actors, and actor_rate, the UNet evaluations per
    second of one actor."""
    finished: str
    stopped: str | None = None
    """The limit that stopped this call with pairs left, such as `--deadline 6h`."""
    left: int = 0
    """Pairs that this call had to make, including those beyond `--limit`, and has not made."""

    @property
    def exit_status(self) -> int:
        """0: every pair is done; 1: some failed (see errors/), could not be remade, or are left
        because a limit stopped the call."""
        done = self.done == self.planned and not self.session.get("failed")
        return 0 if done and not self.stopped else 1

    def write(self, output: Output) -> None:
        """Stores it in the run."""
        output.write(SUMMARY, json.dumps(asdict(self), indent=2).encode())


def closing_lines(summary: Summary, output: Output, chosen: Remake | None) -> list[str]:
    """The lines that a call prints at its end."""
    session = summary.session
    lines = [
        f"{summary.done:,} of {counted(summary.planned, 'pair')} done in "
        f"{duration(session['seconds'])}, {session['pairs_per_second']:.3g} pairs/s, at "
        f"{summary.output}",
    ]
    if summary.stopped:
        lines.append(
            f"stopped by {summary.stopped} with {counted(summary.left, 'pair')} left; "
            f"{resume_hint(summary.stopped)}"
        )
    if session.get("unet_evaluations"):
        lines.append(
            f"{session['unet_evaluations']:,.0f} UNet evaluations, {session['actor_rate']:,.1f}/s "
            f"per actor; {counted(int(session.get('inversions', 0)), 'picture')} inverted, "
            f"{counted(int(session.get('inversions_reused', 0)), 'inversion')} reused from earlier "
            "shards"
        )
    if session.get("gpu_hours"):
        lines.append(
            f"{session['gpu_hours']:.3g} GPU hours, {session['busy_share']:.0%} of them stylising"
        )
    if chosen:
        made, kept = int(session.get("done", 0)), chosen.kept.count
        lines.append(
            f"{counted(made, 'pair')} made again, {chosen.still_rejected(output):,} of "
            f"{chosen.count:,} are still rejected by {chosen.rule}"
        )
        if kept:
            (reason, *_) = chosen.kept.lines()
            lines.append(
                f"{counted(kept, 'pair')} could not be made and keep the pictures that they have; "
                f"most often {reason}"
            )
    if summary.failed:
        lines.append(f"{counted(summary.failed, 'pair')} failed; {retry_hint(output)}:")
        lines += read_failures(output, output.finished()).lines()
    return lines


def retry_hint(output: Output) -> str:
    """The command that tries failed pairs again."""
    return f"styleid-ray retry {output.url} tries them again"

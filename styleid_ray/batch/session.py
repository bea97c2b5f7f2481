"""One command on a run: the pairs that it makes, its messages and its summary."""

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from styleid_ray.batch.folder.failures import read_failures, retry_command
from styleid_ray.batch.folder.output import SUMMARY, Output
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.batch.folder.work import count_pairs, limited
from styleid_ray.batch.limits import Limits, resume_hint
from styleid_ray.batch.remake import Remake
from styleid_ray.batch.watch.progress import Progress, counted, duration
from styleid_ray.config import JobConfig


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


class Session:
    """The work of one command on a run.

    `tally` is the state of the run when the command begins. `left` counts the pairs to make,
    including those beyond `--limit`; `work` has those within it. `again` is whether the pairs were
    tried before.
    """

    def __init__(
        self, output: Output, config: JobConfig, limits: Limits, again: bool, chosen: Remake | None
    ) -> None:
        self.output, self.limits, self.again, self.chosen = output, limits, again, chosen
        self.tally = tally = Tally.read(output)
        if chosen:
            whole = chosen.find(output, tally)
        else:
            whole = tally.to_retry() if again else tally.left()
        self.left = count_pairs(whole, tally.pairs)
        self.work = limited(whole, tally.pairs, config.limit)
        pairs = count_pairs(self.work, tally.pairs)
        if chosen:
            chosen.keep({i for entry in self.work for i in entry["pair_ids"]})
            self.progress = Progress(pairs, 0, 0)
        else:
            failed = 0 if again else tally.failed
            self.progress = Progress(tally.done + failed + pairs, tally.done, failed)

    def summarise(self, measures: dict[str, float]) -> Summary:
        """Stores and returns the summary, with the measures of the work."""
        tally, progress, limits = self.tally, self.progress, self.limits
        seconds = time.monotonic() - progress.began
        measures = measures | {
            "seconds": round(seconds, 3),
            "pairs_per_second": round(progress.new / seconds, 4) if progress.new else 0.0,
        }
        left = self.left - progress.new
        if limits.reached:  # the driver may not know of the last committed shards
            tally = Tally.read(self.output, tally.parts)
            done, failed = tally.done, tally.failed
            left = left if self.again else tally.missing
        elif self.chosen:  # remade pairs were done before
            done, failed = tally.done, tally.failed
        elif self.again:
            done, failed = progress.done, tally.failed - (progress.done - tally.done)
        else:
            done, failed = progress.done, progress.failed
        limit = f"--limit {limits.config.limit}" if limits.config.limit else None
        summary = Summary(
            output=self.output.url,
            planned=tally.planned,
            done=done,
            failed=failed,
            missing=tally.planned - done - failed,
            session=measures,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            stopped=limits.reached or limit if left else None,
            left=left,
        )
        if progress.new or summary.stopped:
            self.output.write(SUMMARY, json.dumps(asdict(summary), indent=2).encode())
        return summary


def nothing_to_do(session: Session) -> str:
    """The line of a command that finds nothing to do."""
    chosen, url = session.chosen, session.output.url
    if chosen and chosen.skipped:
        return f"nothing to remake: {_skipped(chosen)}; give other ones"
    if chosen:
        return f"nothing to remake: {chosen.rule} rejects no pair at {url}"
    if session.again:
        return f"nothing to retry: no pair failed at {url}"
    line = f"nothing to do: {_counts(session.tally)} at {url}"
    if session.tally.failed:
        line += f"; retry the failed ones with: {retry_command(url)}"
    if not session.limits.config.extend:
        line += "; --extend adds pictures that the sources have gained"
    return line


def resuming(session: Session) -> str:
    """The line of a command that resumes a run."""
    chosen, progress = session.chosen, session.progress
    if chosen:
        line = f"remaking {counted(progress.left, 'pair')} that {chosen.rule} rejects"
        return line + f"; {_skipped(chosen)}" * bool(chosen.skipped)
    if session.again:
        return f"retrying {counted(progress.left, 'pair')} that failed"
    return f"resuming: {_counts(session.tally)} already, {progress.left:,} to do"


def rounded_limit(session: Session) -> str | None:
    """The line about a `--limit` that whole shards exceed; None if they do not."""
    limit, pairs = session.limits.config.limit, session.progress.left
    if not limit or pairs <= limit:
        return None
    return f"--limit {limit} is rounded up to {counted(pairs, 'pair')}: shards are made whole"


def _skipped(chosen: Remake) -> str:
    verb = "has" if chosen.skipped == 1 else "have"
    return f"{counted(chosen.skipped, 'rejected pair')} already {verb} these parameters"


def _counts(tally: Tally) -> str:
    verb = "is" if tally.planned == 1 else "are"
    counts = f"{tally.done:,} of {counted(tally.planned, 'pair')} {verb} done"
    return counts + (f", {tally.failed:,} failed" if tally.failed else "")


def closing_lines(summary: Summary, output: Output, chosen: Remake | None) -> list[str]:
    """The lines that a call prints at its end."""
    session = summary.session
    lines = [
        f"{counted(int(session.get('done', 0)), 'pair')} made in {duration(session['seconds'])}, "
        f"{session['pairs_per_second']:.3g} pairs/s; {summary.done:,} of "
        f"{counted(summary.planned, 'pair')} done at {summary.output}",
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
            f"{counted(made, 'pair')} remade, {chosen.still_rejected(output):,} of "
            f"{chosen.count:,} are still rejected by {chosen.rule}"
        )
        if kept:
            (reason, *_) = chosen.kept.lines()
            lines.append(
                f"{counted(kept, 'pair')} could not be remade and keep their pictures; most often "
                f"{reason}"
            )
    if summary.failed:
        failed = counted(summary.failed, "pair")
        lines.append(f"{failed} failed. Retry with: {retry_command(output.url)}")
        lines += read_failures(output, output.finished()).lines()
    return lines

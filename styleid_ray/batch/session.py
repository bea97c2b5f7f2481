"""One command on a run: the pairs that it makes, its messages and its summary."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.batch.folder.work import Work, count_pairs, limited
from styleid_ray.batch.limits import Limits
from styleid_ray.batch.remake import Remake
from styleid_ray.batch.summary import Summary, retry_hint
from styleid_ray.batch.watch.progress import Progress, counted
from styleid_ray.config import JobConfig


@dataclass(frozen=True)
class Session:
    """The work of one command on a run."""

    output: Output
    tally: Tally
    """The state of the run when the command begins."""
    work: Work
    progress: Progress
    left: int
    """Pairs to make, including those beyond `--limit`."""
    limits: Limits
    again: bool
    """Whether the pairs were tried before."""
    chosen: Remake | None

    @classmethod
    def of(
        cls, output: Output, config: JobConfig, limits: Limits, again: bool, chosen: Remake | None
    ) -> Session:
        """The session of a command that begins now."""
        tally = Tally.read(output)
        if chosen:
            whole = chosen.find(output, tally)
        else:
            whole = tally.to_retry() if again else tally.left()
        work = limited(whole, tally.pairs, config.limit)
        pairs = count_pairs(work, tally.pairs)
        if chosen:
            chosen.keep({i for entry in work for i in entry["pair_ids"]})
            progress = Progress(pairs, 0, 0)
        else:
            failed = 0 if again else tally.failed
            progress = Progress(tally.done + failed + pairs, tally.done, failed)
        left = count_pairs(whole, tally.pairs)
        return cls(output, tally, work, progress, left, limits, again, chosen)

    def summarise(self, measures: dict[str, float]) -> Summary:
        """Stores and returns the summary; `measures` are those of the completed work."""
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
            summary.write(self.output)
        return summary


def nothing_to_do(session: Session) -> str:
    """The line of a command that finds nothing to do."""
    chosen, url = session.chosen, session.output.url
    if chosen and chosen.made:
        return (
            f"nothing to make again: the {counted(chosen.made, 'pair')} that {chosen.rule} rejects "
            f"{'was' if chosen.made == 1 else 'were'} made with these parameters already: give "
            "others"
        )
    if chosen:
        return f"nothing to make again: {chosen.rule} rejects no pair at {url}"
    if session.again:
        return f"nothing to retry: no pair failed at {url}"
    line = f"nothing to do: {_counts(session.tally)} at {url}"
    return line + (f"; {retry_hint(session.output)}" if session.tally.failed else "")


def resuming(session: Session) -> str:
    """The line of a command that resumes a run."""
    chosen, progress = session.chosen, session.progress
    if chosen:
        line = f"making {counted(progress.left, 'pair')} again that {chosen.rule} rejects"
        made = f"; {counted(chosen.made, 'more pair')} were made with these parameters already"
        return line + made * bool(chosen.made)
    if session.again:
        return f"retrying {counted(progress.left, 'pair')} that failed"
    return f"resuming: {_counts(session.tally)} already, {progress.left:,} to do"


def _counts(tally: Tally) -> str:
    verb = "is" if tally.planned == 1 else "are"
    counts = f"{tally.done:,} of {counted(tally.planned, 'pair')} {verb} done"
    return counts + (f", {tally.failed:,} failed" if tally.failed else "")

"""The card on the hub during a run, with its progress."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from queue import SimpleQueue
from threading import Thread

from styleid_ray.batch.export.card import card_of
from styleid_ray.batch.export.contents import content_labels, content_source, read_contents
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.batch.watch.progress import Progress
from styleid_ray.config import JobConfig
from styleid_ray.datasets.hub import Hub

EVERY_SECONDS = 600.0
"""Seconds between two uploads of the card."""
_LAST_SECONDS = 60.0
"""The longest wait for an upload at the end of a run."""


@contextmanager
def live_card(
    config: JobConfig, output: Output, progress: Progress, every: float = EVERY_SECONDS
) -> Iterator[Callable[[], None]]:
    """Yields a function, to be called after each shard, that uploads the card now and then.

    Failed uploads are lines of the progress, and never end the run. Without `push_to` nothing is
    uploaded.
    """
    if not config.push_to or not config.export:
        yield lambda: None
        return
    record, tally = output.existing_record(), Tally.read(output)
    contents = read_contents(output, content_source(config, record), tally)
    labels = content_labels(config, record, contents.source)
    hub, last, thread = Hub(config.push_to), float("-inf"), Thread()
    card = card_of(record, config.export, contents, labels, stylised=0, hub_id=config.push_to)
    lines = SimpleQueue[str | None]()

    def say() -> None:
        progress.say([line for _ in range(lines.qsize()) if (line := lines.get())])

    def update() -> None:
        nonlocal thread, last
        if time.monotonic() - last >= every:
            last = time.monotonic()
            if thread.is_alive():
                lines.put(f"the card of {hub.hub_id} stays: its last upload is still running")
            else:
                shown = _in_words(progress.done, tally.planned)
                text = replace(card, stylised=progress.done, progress=shown).text()
                thread = Thread(target=lambda: lines.put(hub.upload_card(text)), daemon=True)
                thread.start()
        say()

    try:
        yield update
    finally:
        if thread.is_alive():
            thread.join(_LAST_SECONDS)  # a later card would hide the final one
        say()


def _in_words(done: int, planned: int) -> str:
    share = 100 * done // max(planned, 1)
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return f"{done:,} of {planned:,} pairs done ({share} %), updated {now}"

"""The card on the hub during a run, with its progress."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from styleid_ray.batch.export.card import card_of
from styleid_ray.batch.export.contents import content_labels, content_source, read_contents
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.batch.watch.progress import Progress as RunProgress
from styleid_ray.config import JobConfig
from styleid_ray.datasets.card import Progress
from styleid_ray.datasets.hub import Hub

EVERY_SECONDS = 600.0
"""Seconds between two uploads of the card."""


@contextmanager
def live_card(
    config: JobConfig, output: Output, every: float = EVERY_SECONDS
) -> Iterator[Callable[[RunProgress], list[str]]]:
    """Yields a function that takes the progress after each shard and uploads the card now and then.

    It returns lines on failed uploads, which never end the run. Without `push_to` it does nothing.
    """
    if not config.push_to or not config.export:
        yield lambda progress: []
        return
    record, tally = output.existing_record(), Tally.read(output)
    contents = read_contents(output, content_source(config, record), tally)
    labels = content_labels(config, record, contents.source)
    hub, last = Hub(config.push_to), float("-inf")
    card = card_of(record, config.export, contents, labels, stylised=0, hub_id=config.push_to)
    upload: Future[str | None] | None = None

    def update(progress: RunProgress) -> list[str]:
        nonlocal upload, last
        lines = [upload.result() or ""] if upload and upload.done() else []
        upload = None if lines else upload
        if upload is None and time.monotonic() - last >= every:
            last = time.monotonic()
            now = Progress(progress.done, tally.planned, datetime.now(UTC))
            text = replace(card, stylised=progress.done, progress=now).text()
            upload = pool.submit(hub.upload_card, text)
        return [line for line in lines if line]

    pool = ThreadPoolExecutor(1)
    try:
        yield update
    finally:
        pool.shutdown(cancel_futures=True)  # a late card would hide the final one

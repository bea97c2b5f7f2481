"""Ray Data's settings for a dataset of this package; those of the process do not change."""

from __future__ import annotations

from ray.data import DataContext


def settle(context: DataContext) -> None:
    """Sets them: no limit on the time without progress, since a shard may take hours, and blocks
    that come out as they are made. The block is what Ray dispatches, retries and holds back."""
    context.execution_no_progress_timeout_s = -1
    context.target_max_block_size = 1
    context.enable_progress_bars = False
    context.print_on_execution_start = False

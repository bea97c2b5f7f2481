"""Ray Data as this package uses it: datasets of work, results as they come, errors in one line."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import pyarrow as pa
import ray.data
from ray import cloudpickle
from ray.exceptions import RayError

from styleid_ray.batch.cluster.connect import log_folder
from styleid_ray.errors import JobError, StyleIDError
from styleid_ray.storage.locations import Options, shown
from styleid_ray.storage.secrets import scrubbed

T = TypeVar("T")
R = TypeVar("R")
_BLOCKS = 200


def dataset_of(items: Sequence[Any], blocks: int) -> ray.data.Dataset:
    """A dataset of items in at most `blocks` blocks. Its settings, which are not the process's:

    No limit on the time without progress, since a shard may take hours; and each block is passed on
    as soon as it is made. A block is the unit that Ray dispatches, retries and holds back.
    """
    dataset = ray.data.from_items(list(items), override_num_blocks=min(len(items), blocks))
    context = dataset.context
    context.execution_no_progress_timeout_s = -1
    context.target_max_block_size = 1
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return dataset


def results_of(dataset: ray.data.Dataset) -> Iterator[pa.Table]:
    """Computes the dataset; yields its blocks as they are made, since nothing is prefetched."""
    blocks: Any = dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    yield from blocks


def on_ray(
    function: Callable[[T], R], items: Sequence[T], storage_options: Options = None
) -> Iterator[R]:
    """Calls a picklable function on items in up to a few hundred tasks all over the cluster; yields
    the results in any order.

    Raises:
        JobError: as the function raised it, or with the reason why Ray ended, without the values of
            `storage_options`.
    """

    def call(block: pa.Table) -> Iterator[pa.Table]:
        for item in block["item"]:
            result = function(pickle.loads(item.as_py()))
            yield pa.table({"result": [pickle.dumps(result)]})

    rows = [{"item": cloudpickle.dumps(item)} for item in items]
    results = dataset_of(rows, _BLOCKS).map_batches(
        call, batch_format="pyarrow", batch_size=None, num_cpus=1
    )
    with job_errors("the job stopped", "; run the same command again to resume", storage_options):
        for block in results_of(results):
            for result in block["result"]:
                yield pickle.loads(result.as_py())


@contextmanager
def job_errors(stopped: str, remedy: str, storage_options: Options) -> Iterator[None]:
    """Raises the original StyleIDError in place of an error of Ray in the block; any other cause
    becomes a JobError of one line."""
    try:
        yield
    except RayError as e:
        cause = _first_cause(e)
        if isinstance(cause, StyleIDError):
            raise cause from e
        reason = scrubbed(cause_line(e), storage_options)
        raise JobError(f"{stopped}: {reason}{remedy} (Ray's logs: {log_folder()})") from e


def cause_line(error: BaseException) -> str:
    """The original cause of an error that Ray passed on, in one line."""
    cause = _first_cause(error)
    line = shown((str(cause).strip().splitlines() or [""])[0])
    return line if isinstance(cause, StyleIDError) else f"{type(cause).__name__}: {line}"


def _first_cause(error: BaseException) -> BaseException:
    while isinstance(getattr(error, "cause", None), BaseException):
        error = error.cause  # pyright: ignore[reportAttributeAccessIssue]
    return error

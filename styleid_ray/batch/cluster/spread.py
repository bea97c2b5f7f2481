"""A function called on many items all over the cluster."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import pyarrow as pa
import ray.data
from ray import cloudpickle
from ray.exceptions import RayError

from styleid_ray.batch.cluster.causes import cause_line, first_cause
from styleid_ray.batch.cluster.connect import log_folder
from styleid_ray.batch.cluster.settings import settle
from styleid_ray.errors import JobError, StyleIDError
from styleid_ray.storage.locations import Options
from styleid_ray.storage.secrets import scrubbed

T = TypeVar("T")
R = TypeVar("R")
_BLOCKS = 200


def on_ray(
    function: Callable[[T], R], items: Sequence[T], storage_options: Options = None
) -> Iterator[R]:
    """Yields the results, in any order.

    Args:
        function: fit for pickling.
        items: spread over as many tasks as there are, but for a few hundred.
        storage_options: what errors must not show.

    Raises:
        JobError: what the function raised, or why Ray ended.
    """

    def call(block: pa.Table) -> Iterator[pa.Table]:
        for item in block["item"]:
            result = function(pickle.loads(item.as_py()))
            yield pa.table({"result": [pickle.dumps(result)]})

    rows = [{"item": cloudpickle.dumps(item)} for item in items]
    parts = ray.data.from_items(rows, override_num_blocks=min(len(rows), _BLOCKS))
    settle(parts.context)
    results = parts.map_batches(call, batch_format="pyarrow", batch_size=None, num_cpus=1)
    batches: Any = results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    try:
        for batch in batches:
            for result in batch["result"]:
                yield pickle.loads(result.as_py())
    except RayError as e:
        cause = first_cause(e)
        if isinstance(cause, StyleIDError):
            raise cause from e
        raise JobError(
            f"the job stopped: {scrubbed(cause_line(e), storage_options)}; run the same command "
            f"again to resume (Ray's logs: {log_folder()})"
        ) from e

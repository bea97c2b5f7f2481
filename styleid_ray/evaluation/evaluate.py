"""The main flow of `styleid-ray evaluate`: pictures → actors → sums → the metrics."""

import pickle
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.data import ActorPoolStrategy

from styleid_ray.batch.cluster.connect import connected
from styleid_ray.batch.cluster.ray_data import dataset_of, job_errors, results_of
from styleid_ray.batch.cluster.resources import Present, cores
from styleid_ray.batch.watch.progress import Progress, shown
from styleid_ray.config import ClusterOptions
from styleid_ray.errors import ConfigError
from styleid_ray.evaluation.actor import PAIRS, Measure, Results
from styleid_ray.evaluation.folders import FolderResults
from styleid_ray.evaluation.outcome import PAIRS_FILE, SUMMARY_FILE, Evaluation, without
from styleid_ray.evaluation.run_results import RunResults
from styleid_ray.evaluation.sums import Sums
from styleid_ray.evaluation.weights import Loaded, load_weights
from styleid_ray.storage.locations import Options
from styleid_ray.storage.store import Store

_WRITTEN = pa.schema([field for field in PAIRS if field.name not in ("style_place", "features")])
_THREADS = 4
_BLOCKS = 1000
_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}


def evaluate(
    run: str | None = None,
    stylized: str | None = None,
    content: str | None = None,
    style: str | None = None,
    *,
    weights: str | None = None,
    to: str | None = None,
    address: str | None = None,
    storage_options: Options = None,
    stream: TextIO | None = None,
) -> Evaluation:
    """Computes the metrics of a run or of folders of pictures, and writes them.

    Args:
        run: location of a run.
        stylized: folder of results of any method, in place of a run.
        content, style: locations of the sources; of a run if they have moved.
        weights: folder of the networks' weights.
        to: location for the files of the evaluation; by default below the run.
        address: of a Ray cluster.
        storage_options: for opening filesystems.
        stream: for messages; by default stderr.

    Raises:
        JobError: an input cannot be used; the message says what to change.
    """
    out = stream or sys.stderr

    def say(line: str) -> None:
        print(line, file=out, flush=True)

    results = _results(run, stylized, content, style, storage_options)
    place = _place(to, results, storage_options)
    loaded = load_weights(weights, say)
    for line in (*results.remarks, *without(loaded.missing, "no weights")):
        say(line)
    with ExitStack() as stack:
        say(stack.enter_context(connected(ClusterOptions(address=address))))
        sums = Sums(loaded)
        writer = None
        if place:
            file = stack.enter_context(place.writing(PAIRS_FILE))
            writer = stack.enter_context(pq.ParquetWriter(file, _WRITTEN, compression="zstd"))
        progress = Progress(results.count, 0, 0, "pictures")
        progress.failing = "could not be read, or their sources"
        with shown(progress, out):
            pairs = [("pairs", unit) for unit in results.units()]
            for block in _on_actors(results, loaded, pairs, storage_options):
                sums.add_pairs(block)
                progress.add(*_outcome(block))
                if writer:
                    writer.write_table(block.select(_WRITTEN.names))
            styles = [("styles", unit) for unit in sums.style_units()]
            progress.planned += sum(len(unit) for _, unit in styles)
            for block in _on_actors(results, loaded, styles, storage_options):
                sums.add_styles(block)
                progress.add(*_outcome(block))
    evaluation = sums.evaluation()
    if isinstance(results, RunResults):
        size, digest = results.config.working_size, results.data_digest
        evaluation = replace(evaluation, size=size, data_digest=digest)
    if place:
        place.write(SUMMARY_FILE, evaluation.as_json().encode())
    return evaluation


def _results(
    run: str | None,
    stylized: str | None,
    content: str | None,
    style: str | None,
    storage_options: Options,
) -> Results:
    if stylized is None:
        if run is None:
            raise ConfigError(
                "nothing to evaluate: name a run, or --stylized, --content and --style"
            )
        moved = {role: url for role, url in (("content", content), ("style", style)) if url}
        return RunResults.open(run, moved, storage_options)
    if run is not None:
        raise ConfigError(f"a run ({run}) and --stylized are given: take one of them")
    if not (content and style):
        raise ConfigError("--stylized needs --content and --style, the sources of its pictures")
    return FolderResults.find(stylized, content, style, storage_options)


def _place(to: str | None, results: Results, storage_options: Options) -> Store | None:
    """The location for the evaluation's files; None to write none."""
    own = results.output if isinstance(results, RunResults) else None
    place = Store(to, storage_options, "to") if to else own
    if place:
        place.check_writable()
    return place


def _outcome(block: pa.Table) -> tuple[int, int]:
    failed = block.num_rows - block["trouble"].null_count
    return block.num_rows - failed, failed


def threads_of(nodes: Sequence[Mapping[str, Any]]) -> int:
    """CPU threads of an actor without a GPU: at most those of the largest node, or Ray would wait.

    Args:
        nodes: as `ray.nodes()` returns them.
    """
    most = max((n["Resources"].get("CPU", 0) for n in nodes if n["Alive"]), default=0)
    return max(1, min(_THREADS, cores(), int(most)))


def _on_actors(
    results: Results, loaded: Loaded, units: list[tuple[str, Any]], storage_options: Options
) -> Iterator[pa.Table]:
    """The rows of all units, in any order."""
    if not units:
        return
    present = Present.read()
    gpus, threads = int(present.gpus), threads_of(ray.nodes())
    actors = gpus or max(1, int(present.cpus) // threads)
    rows = [{"unit": pickle.dumps(unit)} for unit in units]
    measured = dataset_of(rows, _BLOCKS).map_batches(
        Measure,
        batch_format="pyarrow",
        batch_size=None,
        fn_constructor_args=(results, ray.put(loaded.weights), "cuda" if gpus else "cpu", threads),
        compute=ActorPoolStrategy(size=min(actors, len(units))),
        num_gpus=1 if gpus else None,
        num_cpus=1 if gpus else threads,
        runtime_env={"env_vars": _ENVIRONMENT},
    )
    with job_errors("the evaluation stopped", "", storage_options):
        yield from results_of(measured)

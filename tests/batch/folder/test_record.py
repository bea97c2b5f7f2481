"""Which command goes on with a run, and which is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.record import begin_run, find_run
from styleid_ray.batch.prepare import Prepared, prepare
from styleid_ray.errors import OutputError

Job = Callable[..., JobConfig]


def found(job: Prepared) -> int | None:
    """Shards of the run that the job goes on with; None when it would begin one."""
    record = find_run(Output(job.config.output), job.config, job.checkpoint, job.plan)
    return record["plan"]["shards"] if record else None


def begin(config: JobConfig) -> Prepared:
    job = prepare(config)
    assert found(job) is None
    begin_run(Output(config.output), config, job.checkpoint, job.plan)
    return job


def test_other_shards_or_actors_go_on_with_a_run_in_the_shards_it_has(job: Job) -> None:
    begun = begin(job(shard_pairs=2))
    assert begun.plan.shards == 3
    for options in ({"shard_pairs": 200}, {"shard_pairs": 1}, {"actors": 4}, {"batch": 2}):
        other = prepare(job(**options))
        assert found(other) == 3
    shards = [part["shard"].to_pylist() for part in Output(begun.config.output).plan_parts()]
    assert shards == [begun.plan.table["shard"].to_pylist()]


def test_a_beginning_that_was_cut_off_leaves_nothing_in_the_plan(job: Job) -> None:
    config = job(shard_pairs=1)
    begun, output = begin(config), Output(config.output)
    output.write_table("_run/plan/part-00001.parquet", next(output.plan_parts()))
    output.delete("_run/config.yaml")
    begin(config)
    rows = [i for part in output.plan_parts() for i in part["pair_id"].to_pylist()]
    assert rows == begun.plan.table["pair_id"].to_pylist()


def test_a_run_that_another_driver_began_meanwhile_is_joined_or_refused(job: Job) -> None:
    first, same, other = (
        prepare(job(shard_pairs=n, gamma=gamma)) for n, gamma in ((1, 0.5), (2, 0.5), (2, 0.25))
    )
    output = Output(first.config.output)
    begin_run(output, first.config, first.checkpoint, first.plan)
    begin_run(output, same.config, same.checkpoint, same.plan)
    with pytest.raises(OutputError, match=r"other options \(gamma: 0\.5 there, 0\.25 now\)"):
        begin_run(output, other.config, other.checkpoint, other.plan)
    shards = {shard for part in output.plan_parts() for shard in part["shard"].to_pylist()}
    assert len(shards) == first.plan.shards != same.plan.shards


def test_the_same_pictures_in_other_pairs_are_another_run(job: Job, pictures: Path) -> None:
    table = pictures / "pairs.csv"
    table.write_text("content,style\na.png,s.png\nb.png,t.png\n")
    config = job(pairing="table", table=str(table))
    begin(config)
    table.write_text("content,style\nb.png,t.png\na.png,s.png\n")
    assert found(prepare(config)) == 1
    table.write_text("content,style\na.png,t.png\nb.png,s.png\n")
    with pytest.raises(OutputError, match="the pictures are the same, but not their pairs"):
        found(prepare(config))


def test_reuse_makes_another_run_but_the_same_ids_for_the_same_pairs(job: Job) -> None:
    options = {"pairing": "random", "styles_per_content": 2}
    plain = begin(job(**options))
    reused = prepare(job(**options, reuse=True))
    ids = [set(one.plan.table["pair_id"].to_pylist()) for one in (plain, reused)]
    assert ids[0] == ids[1], "two of two styles are the same pairs"
    with pytest.raises(OutputError, match="reuse: False there, True now"):
        found(reused)


def test_several_actors_get_two_shards_each_at_least(job: Job) -> None:
    assert prepare(job(shard_pairs=200)).plan.shards == 1
    assert prepare(job(shard_pairs=200, actors="1,3")).plan.shards == 6
    assert prepare(job(shard_pairs=200)).for_workers(3).plan.shards == 6

"""Rejected pairs are made again with other parameters, and nothing else is."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from styleid_ray import JobConfig
from styleid_ray.batch.folder.output import PLAN, Output
from styleid_ray.batch.folder.stored import stored_job
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.batch.folder.verify import verify
from styleid_ray.batch.remake import Remake, split_options
from styleid_ray.batch.run import Summary, closing_lines, remake, stylize
from styleid_ray.batch.stages.read_plan import ReadPlan
from styleid_ray.batch.stages.shard import Done
from styleid_ray.cli import main
from styleid_ray.errors import ConfigError
from styleid_ray.quality.rule import parse_rule

Job = Callable[..., JobConfig]


def rows(output: Path) -> dict[str, dict[str, Any]]:
    tables = [pq.read_table(file) for file in (output / "data").iterdir()]
    found = {row["pair_id"]: row for table in tables for row in table.to_pylist()}
    assert len(found) == sum(table.num_rows for table in tables)
    return found


@pytest.mark.cluster
@pytest.mark.usefixtures("local_ray")
def test_rejected_pairs_are_made_again_with_other_parameters_and_the_others_stay(
    job: Job, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = pictures / "out"
    (pictures / "content" / "broken.png").write_bytes(b"not a picture")
    # The pairs' own gamma, of the plan, gives way too.
    assert stylize(job(gamma="0.3,0.5", shard_pairs=6), io.StringIO()).failed == 4
    before = rows(out)
    assert {row["params"]["gamma"] for row in before.values()} == {0.3, 0.5}
    for row in before.values():
        assert all(value is not None for value in row["quality"].values())
    colors = [row["quality"]["color"] for row in before.values()]
    rule = str(parse_rule(f"color>={np.median(colors):.6f}"))

    capsys.readouterr()
    assert main(["status", str(out), "--json", "--reject", rule]) == 1
    told = json.loads(capsys.readouterr().out)["quality"]
    rejected = {i for i, row in before.items() if row["quality"]["color"] >= float(rule[7:])}
    assert (told["rejected"], told["measures"]["color"]["count"]) == (len(rejected), 12)
    assert 0 < len(rejected) < 12

    said = io.StringIO()
    config = stored_job(str(out), {"reject": rule})
    summary = remake(config, {"gamma": "0.95", "detail": "0.5"}, said)
    assert (summary.done, summary.failed, summary.session["done"]) == (12, 4, len(rejected))
    assert f"remaking {len(rejected)} pairs that {rule} rejects" in said.getvalue()
    assert f"of {len(rejected)} are still rejected by {rule}" in said.getvalue()
    after = rows(out)
    assert after.keys() == before.keys()
    for i, row in after.items():
        made = row["params"]["gamma"], row["params"]["detail"]
        assert made == (0.95, 0.5) if i in rejected else made[0] == before[i]["params"]["gamma"]
        assert (row["image"] == before[i]["image"]) == (i not in rejected)
    assert verify(Output(str(out))).exit_status == 1  # of the broken picture alone
    assert verify(Output(str(out))).sound

    said = io.StringIO()
    remake(config, {"gamma": "0.95", "detail": "0.5"}, said)
    assert "these parameters; give other ones" in said.getvalue()
    none = stored_job(str(out), {"reject": "blank>9"})
    said = io.StringIO()
    remake(none, {"gamma": "0.95"}, said)
    assert f"nothing to remake: blank>9 rejects no pair at {out}" in said.getvalue()
    assert rows(out) == after


def test_changed_parameters_replace_the_values_of_the_pairs_in_the_plan(
    job: Job, pictures: Path
) -> None:
    from styleid_ray.batch.begin import begin
    from styleid_ray.batch.cluster.resources import Resources

    output = Output(str(pictures / "out"))
    config = job(gamma="0.3,0.5", temperature="1.2..1.8")
    begin(output, config, lambda shards: Resources(1, 1, 0, 1), io.StringIO())
    part = output.files(PLAN)[0]
    ids = output.read_table(part)["pair_id"].to_pylist()[:3]
    read = ReadPlan(output, 200, 1000)
    (shard,) = read.read({"part": part, "pair_ids": ids, "instead": ["gamma"]})
    assert (shard.retry, shard.remake, shard.pairs["gamma"].null_count) == (True, True, 3)
    assert shard.pairs["temperature"].null_count == 0
    (failed,) = read.read({"part": part, "pair_ids": ids})
    assert (failed.remake, failed.pairs["gamma"].null_count) == (False, 0)
    assert Tally.read(output).missing == 12


def test_a_remake_needs_a_rule_and_other_parameters_that_are_not_drawn(job: Job) -> None:
    with pytest.raises(ConfigError, match="--rejected: the run has no rule"):
        Remake.of(job(), {})
    with pytest.raises(ConfigError, match=r"give other parameters, such as --gamma 0\.85") as error:
        Remake.of(job(reject="blank>0.9"), {})
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match=r"--gamma 0\.5\.\.0\.9 is drawn per pair"):
        Remake.of(job(reject="blank>0.9"), {"gamma": "0.5..0.9"})
    with pytest.raises(ConfigError, match="--gamma"):
        Remake.of(job(reject="blank>0.9"), {"gamma": "7"})
    swept = job(reject="blank>0.9", gamma="0.3..0.5", variants=3)
    assert Remake.of(swept, {"gamma": "0.85"}).config.style_params.gamma == 0.85


def test_the_closing_lines_name_the_reason_why_pairs_keep_their_pictures(job: Job) -> None:
    chosen = Remake.of(job(reject="blank>0.9"), {"gamma": "0.9"})
    for shard, error in (("x", "RowError"), ("y", "ValueError"), ("z", "RowError")):
        one = {"pair_id": shard, "stage": "decode", "error": error, "message": f"{shard} is bad"}
        chosen.add(Done(shard, {}, (), failed=(one,)))
    output = Output(job().output)
    session = {"seconds": 1.0, "pairs_per_second": 0.0, "done": 0, "failed": 3}
    summary = Summary(output.url, 6, 6, 0, 0, session, "")
    said = "\n".join(closing_lines(summary, output, chosen))
    assert "3 pairs could not be remade and keep their pictures; most often " in said
    assert "2 pairs: decode failed, for example x is bad" in said
    assert summary.exit_status == 1


def test_parameters_and_rules_of_pictures_are_refused_for_failed_pairs() -> None:
    given = {"gamma": "0.9", "batch": 2}
    assert split_options(given, True) == ({"batch": 2}, {"gamma": "0.9"})
    for options in (given, {"reject": "blank>0.9"}):
        with pytest.raises(ConfigError, match="add --rejected, or leave it out"):
            split_options(options, False)

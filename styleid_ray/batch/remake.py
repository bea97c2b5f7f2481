"""Rejected pairs of a run, remade with other parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from styleid_ray.batch.folder.failures import Failures
from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.quality import read_rejected
from styleid_ray.batch.folder.tally import Tally, Work
from styleid_ray.batch.prepare import Job, check_layers
from styleid_ray.batch.stages.row_params import CONTROLS, PARAMS, RowParams
from styleid_ray.batch.stages.shard import Done
from styleid_ray.config import JobConfig, StyleParams
from styleid_ray.errors import ConfigError
from styleid_ray.jobfile import make_config
from styleid_ray.quality.rule import Rule, reject_rule

_DRAWN = ("gamma", "temperature")
_OF_THE_RUN = {
    *("size", "fit", "tile", "model", "revision", "vae", "vae_tile", "lora"),
    *("masks", "region_styles"),
}
"""Fields of a row's `params` that no remake changes."""


@dataclass
class Remake:
    """Which pairs are made again, and how.

    Args:
        config: the job of the run.
        rule: which pairs.
        changes: parameters in place of the run's and of the plan's own.
    """

    config: JobConfig
    rule: Rule
    changes: Mapping[str, Any]
    own: set[str] = field(default_factory=set)
    """Which of γ and temperature pairs keep as the plan has them."""
    ids: dict[str, list[str]] = field(default_factory=dict)
    """Pairs to make, by shard, once `find` has read them."""
    kept: Failures = field(default_factory=Failures)
    """Pairs that could not be made and keep the pictures that they have."""
    made: int = 0
    """Rejected pairs that were made with these parameters already."""

    @classmethod
    def of(cls, config: JobConfig, changes: Mapping[str, Any]) -> Remake:
        """The remake of a run by its rule.

        Args:
            config: its job, whose `reject` is the rule.
            changes: options of `StyleParams` by their names, as a command or job file has them.

        Raises:
            ConfigError: there is no rule, no parameter, or one that is not valid or drawn per pair.
        """
        rule = reject_rule(config.reject)
        if rule is None:
            raise ConfigError(
                "--rejected: the run has no rule that rejects pairs: give one with --reject, such "
                "as 'structure<0.4 or blank>0.9'"
            )
        if not changes:
            raise ConfigError(
                "--rejected: the same parameters would give the same pictures again: "
                "give other parameters, such as --gamma 0.85"
            )
        given = {name: getattr(config, name) for name in JobConfig.model_fields}
        altered = make_config({**given, "variants": None, **changes, "push_to": None})
        for name in _DRAWN:
            if name in changes and name in altered.draws:
                raise ConfigError(
                    f"--{name} {changes[name]} is drawn per pair: with --rejected give one number "
                    "or a schedule"
                )
        return cls(altered, rule, changes, own={*altered.draws} - {*changes})

    @property
    def count(self) -> int:
        """Pairs to make."""
        return sum(map(len, self.ids.values()))

    def find(self, output: Output, tally: Tally) -> Work:
        """Reads which pairs are rejected; those that these parameters made already are left out."""
        self.ids, self.made = {}, 0
        if self.config.pairing == "table":
            self.own |= _planned(output, tally) - {*self.changes}
        planned = tally.finished & set().union(*tally.parts.values())
        for shard, table in read_rejected(output, planned, self.rule, ["params"]):
            rows = table.select(["pair_id", "params"]).to_pylist()
            left = [row["pair_id"] for row in rows if not self.made_before(row["params"])]
            self.made += len(rows) - len(left)
            if left:
                self.ids[shard] = left
        instead = [name for name in _DRAWN if name in self.changes]
        work: Work = []
        for part, shards in tally.parts.items():
            ids = [i for shard in shards for i in self.ids.get(shard, ())]
            if ids:
                work.append({"part": part, "pair_ids": ids, "instead": instead})
        return work

    def apply(self, job: Job) -> Job:
        """The job with these parameters; raises ConfigError for layers that its model lacks."""
        names = [*self.changes, "variants", "push_to"]
        config = job.config.model_copy(update={name: getattr(self.config, name) for name in names})
        check_layers(job.checkpoint, config)
        return replace(job, config=config)

    def add(self, done: Done) -> None:
        """Takes in which pairs of a shard could not be made."""
        if done.failed:
            self.kept.add(done.shard, pa.Table.from_pylist([*done.failed]))

    def still_rejected(self, output: Output) -> int:
        """How many of the pairs that were to be made are rejected now."""
        rejected = read_rejected(output, self.ids, self.rule)
        return sum(
            len({*table["pair_id"].to_pylist()} & {*self.ids[shard]}) for shard, table in rejected
        )

    def made_before(self, params: Mapping[str, Any]) -> bool:
        """Whether a row was made with these parameters, by its `params`."""
        made = RowParams.of(self.config, None)
        wanted = pa.scalar(made.values, made.type).as_py()  # as it is read back
        of_pair = {*self.own, *(f"{name}_schedule" for name in self.own)}
        names = {*PARAMS.names, *CONTROLS} - _OF_THE_RUN - of_pair
        return all(params.get(name) == wanted.get(name) for name in names)


def _planned(output: Output, tally: Tally) -> set[str]:
    """Which of γ and temperature the plan has for some pair."""
    names: set[str] = set()
    for part in tally.parts:
        table = output.plan_part(part, [*_DRAWN])
        names |= {name for name in _DRAWN if table[name].null_count < table.num_rows}
    return names


def split_options(
    options: Mapping[str, Any], rejected: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of `retry`: those of a job that change nothing of it, and parameters of pictures.

    Raises:
        ConfigError: without `--rejected` there is one that only it takes.
    """
    changes = {name: value for name, value in options.items() if name in StyleParams.model_fields}
    alone = [*changes, *(["reject"] if options.get("reject") is not None else [])]
    if alone and not rejected:
        raise ConfigError(
            f"--{alone[0].replace('_', '-')} has no effect on failed pairs, which are made with "
            "the run's own options: add --rejected, or leave it out"
        )
    return {name: value for name, value in options.items() if name not in changes}, changes

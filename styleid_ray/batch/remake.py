"""Rejected pairs of a run, remade with other parameters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
from styleid_ray.config import JobConfig, StyleParams, flag
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
    """The pairs that are made again, and their new parameters."""

    config: JobConfig
    """The job of the run."""
    rule: Rule
    """Selects the pairs."""
    changes: Mapping[str, Any]
    """Parameters that replace the run's and the plan's own."""
    own: set[str] = field(default_factory=set)
    """γ, temperature or both, where pairs keep the plan's values."""
    ids: dict[str, list[str]] = field(default_factory=dict)
    """Pairs to make, by shard, once `find` has read them."""
    kept: Failures = field(default_factory=Failures)
    """Pairs that could not be made and keep their pictures."""
    made: int = 0
    """Rejected pairs that were already made with these parameters."""

    @classmethod
    def of(cls, config: JobConfig, changes: Mapping[str, Any]) -> Remake:
        """The remake of a run whose job has the rule `reject`. `changes` are options of
        `StyleParams` by name, as in a command or job file.

        Raises:
            ConfigError: the rule or the parameters are missing, or a parameter is not valid or
                drawn per pair.
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
        """Number of pairs to make."""
        return sum(map(len, self.ids.values()))

    def find(self, output: Output, tally: Tally) -> Work:
        """Reads the rejected pairs, except those already made with these parameters."""
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
        return [{**entry, "instead": instead} for entry in tally.again(self.ids)]

    def keep(self, ids: Collection[str]) -> None:
        """Drops all other pairs to make."""
        kept = {shard: [i for i in some if i in ids] for shard, some in self.ids.items()}
        self.ids = {shard: some for shard, some in kept.items() if some}

    def apply(self, job: Job) -> Job:
        """The job with these parameters; raises ConfigError for layers that its model lacks."""
        names = [*self.changes, "variants", "push_to"]
        config = job.config.model_copy(update={name: getattr(self.config, name) for name in names})
        check_layers(job.checkpoint, config)
        return replace(job, config=config)

    def add(self, done: Done) -> None:
        """Records the pairs of a shard that could not be made."""
        if done.failed:
            self.kept.add(done.shard, pa.Table.from_pylist([*done.failed]))

    def still_rejected(self, output: Output) -> int:
        """Number of the pairs to make that are rejected now."""
        rejected = read_rejected(output, self.ids, self.rule)
        return sum(
            len({*table["pair_id"].to_pylist()} & {*self.ids[shard]}) for shard, table in rejected
        )

    def made_before(self, params: Mapping[str, Any]) -> bool:
        """Whether a row's `params` are these parameters."""
        made = RowParams.of(self.config, None)
        wanted = pa.scalar(made.values, made.type).as_py()  # as read back from a row
        of_pair = {*self.own, *(f"{name}_schedule" for name in self.own)}
        names = {*PARAMS.names, *CONTROLS} - _OF_THE_RUN - of_pair
        return all(params.get(name) == wanted.get(name) for name in names)


def _planned(output: Output, tally: Tally) -> set[str]:
    """γ, temperature or both, if the plan has values for any pair."""
    names: set[str] = set()
    for part in tally.parts:
        table = output.plan_part(part, [*_DRAWN])
        names |= {name for name in _DRAWN if table[name].null_count < table.num_rows}
    return names


def split_options(
    options: Mapping[str, Any], rejected: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Splits the options of `retry` into those that do not change the pictures, and parameters.
    Raises ConfigError for an option that needs `--rejected`, which is not given."""
    changes = {name: value for name, value in options.items() if name in StyleParams.model_fields}
    alone = [*changes, *(["reject"] if options.get("reject") is not None else [])]
    if alone and not rejected:
        raise ConfigError(
            f"{flag(alone[0])} has no effect on failed pairs, which are made with "
            "the run's own options: add --rejected, or leave it out"
        )
    return {name: value for name, value in options.items() if name not in changes}, changes

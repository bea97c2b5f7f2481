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
from styleid_ray.batch.stages.row_params import PARAMS, option_of, params_of_job
from styleid_ray.batch.stages.shard import Done
from styleid_ray.config import JobConfig, StyleParams, flag
from styleid_ray.errors import ConfigError
from styleid_ray.jobfile import make_config
from styleid_ray.quality.rule import Rule, reject_rule

_DRAWN = ("gamma", "temperature")


@dataclass
class Remake:
    """The pairs to remake, and their new parameters."""

    config: JobConfig
    """The job of the run."""
    rule: Rule
    """Selects the pairs."""
    changes: Mapping[str, Any]
    """Parameters that replace the run's and the plan's own."""
    ids: dict[str, list[str]] = field(default_factory=dict)
    """Pairs to remake, by shard, once `find` has read them."""
    kept: Failures = field(default_factory=Failures)
    """Pairs that could not be remade and keep their pictures."""
    skipped: int = 0
    """Rejected pairs that already have these parameters."""

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
        options = {name: getattr(config, name) for name in JobConfig.model_fields}
        altered = make_config({**options, "variants": None, **changes, "push_to": None})
        for name in _DRAWN:
            if name in changes and name in altered.draws:
                raise ConfigError(
                    f"--{name} {changes[name]} is drawn per pair: with --rejected give one number "
                    "or a schedule"
                )
        return cls(altered, rule, changes)

    @property
    def count(self) -> int:
        """Number of pairs to remake."""
        return sum(map(len, self.ids.values()))

    def find(self, output: Output, tally: Tally) -> Work:
        """Reads the rejected pairs, except those that already have these parameters: a stopped
        remake is resumed by its own command."""
        wanted = pa.scalar(params_of_job(self.config, None), PARAMS).as_py()  # as read from a row
        fields = [name for name in PARAMS.names if option_of(name) in self.changes]
        shards = tally.finished & tally.pairs.keys()
        for shard, table in read_rejected(output, shards, self.rule, ["params"]):
            for row in table.select(["pair_id", "params"]).to_pylist():
                if all(row["params"][name] == wanted[name] for name in fields):
                    self.skipped += 1
                else:
                    self.ids.setdefault(shard, []).append(row["pair_id"])
        instead = [name for name in _DRAWN if name in self.changes]
        return [{**entry, "instead": instead} for entry in tally.again(self.ids)]

    def keep(self, ids: Collection[str]) -> None:
        """Drops all other pairs."""
        kept = {shard: [i for i in pairs if i in ids] for shard, pairs in self.ids.items()}
        self.ids = {shard: pairs for shard, pairs in kept.items() if pairs}

    def apply(self, job: Job) -> Job:
        """The job with these parameters; raises ConfigError for layers that its model lacks."""
        names = [*self.changes, "variants", "push_to"]
        config = job.config.model_copy(update={name: getattr(self.config, name) for name in names})
        check_layers(job.checkpoint, config)
        return replace(job, config=config)

    def add(self, done: Done) -> None:
        """Records the pairs of a shard that could not be remade."""
        if done.failed:
            self.kept.add(done.shard, pa.Table.from_pylist([*done.failed]))

    def still_rejected(self, output: Output) -> int:
        """Number of the remade pairs that are rejected now."""
        rejected = read_rejected(output, self.ids, self.rule)
        return sum(
            len({*table["pair_id"].to_pylist()} & {*self.ids[shard]}) for shard, table in rejected
        )


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

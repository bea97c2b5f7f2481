"""The pictures of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from styleid_ray.batch.folder.output import Output, data_file
from styleid_ray.batch.folder.places import places_of_part
from styleid_ray.batch.folder.stored import run_source, stored_job
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.config import JobConfig
from styleid_ray.datasets.fetch import fetch_picture
from styleid_ray.datasets.files import list_files
from styleid_ray.datasets.source import Source
from styleid_ray.errors import ConfigError, JobError, RowError
from styleid_ray.evaluation.pictures import Result
from styleid_ray.imaging import decode, fit_picture
from styleid_ray.storage.members import is_member

_COLUMNS = ["pair_id", "image", "content", "style"]
Unit = tuple[str, str]
"""A part of the plan and the name of one of its finished shards."""


@dataclass(frozen=True)
class RunResults:
    """The finished pairs of a run; picklable and light."""

    output: Output
    config: JobConfig
    sources: Mapping[str, Source]
    """By "content" and "style"."""
    count: int
    """Pairs with a picture."""
    planned: int
    data_digest: str
    """`Output.data_digest` before any picture is read."""
    several_styles: bool
    """Whether pairs have more than one style."""
    shards: tuple[Unit, ...] = field(repr=False)

    @classmethod
    def open(
        cls, url: str, moved: Mapping[str, str], storage_options: Mapping[str, Any] | None
    ) -> RunResults:
        """Reads a run's record, plan and listing.

        Args:
            url: of the run.
            moved: new locations by "content" and "style", if they have moved.
            storage_options: for opening filesystems.

        Raises:
            JobError: there is no run, no finished pair, or a source is unknown.
        """
        output = Output(url, storage_options)
        record = output.existing_record()
        given = {"storage_options": storage_options} if storage_options else {}
        config = stored_job(url, given, needed=())
        tally = Tally.read(output)
        if not tally.done:
            raise JobError(f"{output.url} has no finished pair yet: nothing to evaluate")
        sources = {role: _source(role, record, moved, config) for role in ("content", "style")}
        shards = tuple(
            (part, shard)
            for part, shards in tally.parts.items()
            for shard in shards
            if shard in tally.finished
        )
        columns = output.parsed(next(iter(tally.parts)), pq.read_schema).names
        return cls(
            output,
            config,
            sources,
            tally.done,
            tally.planned,
            output.data_digest(),
            "style2" in columns,
            shards,
        )

    @property
    def remarks(self) -> list[str]:
        """Lines on pairs without a picture, and on styles that are not compared."""
        remarks = []
        if self.count < self.planned:
            counts = f"{self.count:,} of {self.planned:,}"
            remarks.append(f"{counts} pairs have a picture: only these are evaluated")
        if self.several_styles:
            remarks.append("pairs with several styles are compared with the first one")
        return remarks

    def units(self) -> list[Unit]:
        """One per shard."""
        return list(self.shards)

    def groups(self, unit: Unit) -> Iterator[list[Result]]:
        """The pictures of a shard, a row group at a time.

        Raises:
            OutputError: its file is damaged or gone.
        """
        part, shard = unit
        try:
            for rows in self.output.row_groups(data_file(shard), _COLUMNS):
                yield [self._result(part, row) for row in rows.to_pylist()]
        except (FileNotFoundError, pa.ArrowInvalid) as e:
            raise self.output.damaged(data_file(shard), e) from e

    def source(self, role: str, key: str, place: str | None) -> Image.Image:
        """A content or a style, upright and cut as in the run. Raises RowError.

        Args:
            role: "content" or "style".
            key: of the picture.
            place: of the picture, in a larger file.
        """
        config = self.config
        data = fetch_picture(self.sources[role], key, place, config.max_bytes).data
        picture = decode(data, config.max_pixels)
        crops = config.fit == "crop"
        return fit_picture(picture, config.working_size, "crop", 1) if crops else picture

    def _result(self, part: str, row: Mapping[str, Any]) -> Result:
        picture, places = self._picture(row["image"]), self._places(part, row)
        return Result(row["content"], row["style"], picture, row["pair_id"], places)

    def _picture(self, image: Mapping[str, Any]) -> Image.Image | RowError:
        data = image["bytes"]
        try:
            if data is None:
                try:
                    data = self.output.read(image["path"])
                except FileNotFoundError:
                    raise RowError("fetch", f"{image['path']} is not beside the run") from None
            return decode(data, self.config.max_pixels)
        except RowError as e:
            return e

    def _places(self, part: str, row: Mapping[str, Any]) -> dict[str, str]:
        return {
            role: place
            for role in ("content", "style")
            if is_member(row[role]) and (place := _places(self.output, part, role).get(row[role]))
        }


_places = lru_cache(2)(places_of_part)


def _source(
    role: str, record: Mapping[str, Any], moved: Mapping[str, str], config: JobConfig
) -> Source:
    if role in moved:
        options = dict(config.storage_options or {})
        return Source(list_files(moved[role], role, options).root, (), options)
    if record.get("sources") is None and record["config"].get(role):
        raise ConfigError(
            f"the URL of the run's --{role} holds a secret, which is not stored: give --{role} "
            "again"
        )
    return run_source(record, role, config.storage_options)

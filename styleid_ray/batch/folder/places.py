"""The places of a run's pictures in larger files, from its plan."""

from collections.abc import Collection

import pyarrow as pa
import pyarrow.parquet as pq

from styleid_ray.arrow import pc
from styleid_ray.batch.folder.output import PLAN, Output
from styleid_ray.storage.members import is_member


def plan_columns(output: Output, name: str, columns: list[str]) -> pa.Table:
    """Columns of a part of the plan as plain strings; a column that the part lacks is null."""
    existing = output.parsed(name, lambda f: pq.read_schema(f).names)
    table = output.read_table(name, [column for column in columns if column in existing])
    for column in columns:
        if column not in existing:
            table = table.append_column(column, pa.nulls(table.num_rows, pa.string()))
    return table.select(columns)


def places_of_part(
    output: Output, name: str, role: str, wanted: pa.Array | None = None
) -> dict[str, str]:
    """The places, by key, of those contents or styles of a part of the plan that are not files of
    their own; only of the `wanted` keys, if given."""
    part = plan_columns(output, name, [role, f"{role}_place"])
    kept = pc.field(f"{role}_place").is_valid()
    part = part.filter(kept if wanted is None else kept & pc.field(role).isin(wanted))
    return dict(zip(*(part[column].to_pylist() for column in part.column_names), strict=True))


def read_places(output: Output, role: str, keys: Collection[str]) -> dict[str, str]:
    """The places of those contents or styles that are not files of their own."""
    wanted = pa.array([key for key in keys if is_member(key)], pa.string())
    places: dict[str, str] = {}
    for name in output.files(PLAN) if len(wanted) else ():
        places |= places_of_part(output, name, role, wanted)
    return places

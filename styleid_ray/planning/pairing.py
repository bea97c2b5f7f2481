"""Which content meets which style."""

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from styleid_ray.config import SourceOptions
from styleid_ray.errors import SourceError
from styleid_ray.planning.columns import key_column, sorted_distinct
from styleid_ray.planning.draw import draw_shared_styles, draw_styles
from styleid_ray.planning.sources import Source, list_pictures
from styleid_ray.planning.table import check_unique, read_table
from styleid_ray.planning.table_sources import resolve
from styleid_ray.storage.locations import Options
from styleid_ray.storage.secrets import FullURLs, without_secrets


@dataclass(frozen=True)
class Pairs:
    """Pairs of pictures, in the order of the pairing."""

    contents: Source
    styles: Source
    table: pa.Table
    """Columns content, style (dictionaries over the sources' keys), k (int32), gamma and
    temperature (float64, null for the job's own), then the columns passed through."""
    groups: np.ndarray | None = None
    """The group of each content (int64, in the order of `contents.keys`) where the pairing made
    groups: pairs of different groups had better be in different shards."""


def make_pairs(config: SourceOptions, storage_options: Options = None) -> Pairs:
    """Make the pairs that a job asks for. The same inputs always give the same pairs.

    Raises:
        SourceError: a source or the table is missing, empty or inconsistent.
    """
    if config.pairing == "table":
        return _from_table(config, storage_options)
    contents = list_pictures(config.content or "", "content", storage_options)
    styles = list_pictures(config.style or "", "style", storage_options)
    c, s, groups = _INDICES[config.pairing](contents.keys, styles.keys, config)
    own = pa.nulls(len(c), pa.float64())
    table = pa.table(
        {
            "content": key_column(c, contents.keys),
            "style": key_column(s, styles.keys),
            "k": pa.array(np.zeros(len(c), np.int32)),
            "gamma": own,
            "temperature": own,
        }
    )
    return Pairs(contents, styles, table, groups)


Keys = tuple[str, ...]
Indices = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def _cross(contents: Keys, styles: Keys, config: SourceOptions) -> Indices:
    c = np.repeat(np.arange(len(contents), dtype=np.int32), len(styles))
    return c, np.tile(np.arange(len(styles), dtype=np.int32), len(contents)), None


def _zip(contents: Keys, styles: Keys, config: SourceOptions) -> Indices:
    if len(contents) != len(styles):
        raise SourceError(
            f"--pairing zip needs as many contents as styles, but --content has {len(contents)} "
            f"pictures and --style has {len(styles)}; even them out, or use --pairing cross, "
            "random or table"
        )
    both = np.arange(len(contents), dtype=np.int32)
    return both, both, None


def _random(contents: Keys, styles: Keys, config: SourceOptions) -> Indices:
    count = config.styles_per_content
    if count > len(styles):
        raise SourceError(
            f"--styles-per-content {count} is more than the {len(styles)} pictures of --style; "
            f"ask for at most {len(styles)}"
        )
    c, groups = np.repeat(np.arange(len(contents), dtype=np.int32), count), None
    if config.reuse:
        drawn, groups = draw_shared_styles(contents, len(styles), count, config.seed)
    else:
        drawn = draw_styles(contents, len(styles), count, config.seed)
    return c, drawn.reshape(-1), groups


_INDICES = {"cross": _cross, "zip": _zip, "random": _random}


def _from_table(config: SourceOptions, storage_options: Options) -> Pairs:
    assert config.table, "JobConfig sees to this"
    rows = read_table(config.table, storage_options)
    sources: list[Source] = []
    for what, root in (("content", config.content), ("style", config.style)):
        column = rows[what].combine_chunks()
        keys, full_urls = _keys(column.dictionary)
        keys, places = sorted_distinct(keys)
        names = tuple(keys.to_pylist())
        sources.append(resolve(names, what, root, config.table, storage_options, full_urls))
        index = places[column.indices.to_numpy()]
        i = rows.schema.get_field_index(what)
        rows = rows.set_column(i, what, pa.DictionaryArray.from_arrays(index, keys))
    if any(source.full_urls for source in sources):
        check_unique(rows, config.table)  # two signatures of one picture are one picture
    return Pairs(sources[0], sources[1], rows)


def _keys(urls: pa.StringArray) -> tuple[pa.StringArray, FullURLs | None]:
    """The keys of a table's URLs [U], and where those lie whose URLs hold secrets."""
    suspects = urls.filter(pc.match_substring_regex(urls, r"(?s)://.*[?@]"))
    full_urls = FullURLs.of(suspects.to_pylist())
    if full_urls is None:
        return urls, None
    return pa.array([without_secrets(url) for url in urls.to_pylist()], pa.string()), full_urls

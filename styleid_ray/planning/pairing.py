"""Which content meets which style."""

# pyarrow makes the functions of `compute` when it is imported, unseen by type checkers.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from styleid_ray.config import SourceOptions
from styleid_ray.datasets.formats import read_source
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.masks import check_masks
from styleid_ray.datasets.options import DatasetOptions, Spread, in_threads
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.splits import dealt
from styleid_ray.errors import SourceError
from styleid_ray.planning.columns import key_column, sorted_distinct
from styleid_ray.planning.draw import draw_shared_styles, draw_styles
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
    temperature (float64, null for the job's own), then the columns passed through; among them the
    split, where the contents have splits."""
    groups: np.ndarray | None = None
    """The group of each content (int64, in the order of `contents.keys`) where the pairing made
    groups: pairs of different groups had better be in different shards."""


def content_options(
    config: SourceOptions, storage_options: Options = None, spread: Spread = in_threads
) -> DatasetOptions:
    """How the contents of a job are to be read."""
    return DatasetOptions(
        config.content or "",
        "content",
        config.content_format,
        config.annotations,
        config.label_masks,
        config.splits,
        storage_options,
        spread,
    )


def make_pairs(
    config: SourceOptions, storage_options: Options = None, spread: Spread = in_threads
) -> Pairs:
    """Make the pairs that a job asks for. The same inputs always give the same pairs.

    Args:
        config: sources and pairing.
        storage_options: what filesystems are opened with.
        spread: where many files are looked into.

    Raises:
        SourceError: a source or the table is missing, empty or inconsistent.
    """
    datasets = (
        content_options(config, storage_options, spread),
        DatasetOptions(
            config.style or "",
            "style",
            config.style_format,
            storage_options=storage_options,
            spread=spread,
        ),
    )
    if config.pairing == "table":
        return _from_table(config, datasets)
    contents, styles = map(read_source, datasets)
    c, s, groups = _paired(contents, styles, config)
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
    if contents.splits is not None:
        split = contents.splits.array.dictionary_encode()
        table = table.append_column("split", split.take(pa.array(c)))
    return Pairs(contents, styles, table, groups)


def _paired(contents: Source, styles: Source, config: SourceOptions) -> Indices:
    """Indices of the pairs, each split with styles of its own unless they are shared."""
    make, keys = _INDICES[config.pairing], (Keys(contents.keys), Keys(styles.keys))
    splits = sorted(set(contents.splits or ()))
    if contents.splits is None or len(splits) < 2 or config.pairing == "zip" or config.share_styles:
        return make(*keys, config)
    of_content = pc.index_in(contents.splits.array, pa.array(splits)).to_numpy()
    of_style = dealt(keys[1], splits)
    parts: list[Indices] = []
    groups, first = np.zeros(len(of_content), np.int64), 0
    for number, split in enumerate(splits):
        own_contents, own_styles = (np.flatnonzero(of == number) for of in (of_content, of_style))
        if not len(own_styles):
            raise SourceError(
                f"--style has too few pictures for {len(splits)} splits that share none: the split "
                f"{split} got no style; add more, or use --share-styles"
            )
        own = keys[0].take(pa.array(own_contents)), keys[1].take(pa.array(own_styles))
        c, s, own_groups = make(*own, config)
        parts.append((own_contents[c], own_styles[s], own_groups))
        if own_groups is not None:
            groups[own_contents] = own_groups + first
            first = int(groups.max()) + 1
    c, s = (
        np.concatenate(columns).astype(np.int32)
        for columns in ([part[0] for part in parts], [part[1] for part in parts])
    )
    order = np.argsort(c, kind="stable")
    return c[order], s[order], None if parts[0][2] is None else groups


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


def _from_table(config: SourceOptions, datasets: Sequence[DatasetOptions]) -> Pairs:
    assert config.table, "JobConfig sees to this"
    rows = read_table(config.table, datasets[0].storage_options)
    sources: list[Source] = []
    for dataset in datasets:
        what = dataset.what
        column = rows[what].combine_chunks()
        keys, full_urls = _keys(column.dictionary)
        keys, places = sorted_distinct(keys)
        sources.append(resolve(Keys(keys), dataset, config.table, full_urls))
        index = places[column.indices.to_numpy()]
        i = rows.schema.get_field_index(what)
        rows = rows.set_column(i, what, pa.DictionaryArray.from_arrays(index, keys))
    if datasets[0].label_masks:
        check_masks(sources[0], datasets[0])
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

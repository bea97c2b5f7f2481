"""From contents and styles to pairs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from styleid_ray.arrow import pc
from styleid_ray.config import Pairing, SourceOptions
from styleid_ray.datasets.formats import read_source
from styleid_ray.datasets.keys import Keys
from styleid_ray.datasets.masks import check_masks
from styleid_ray.datasets.options import DatasetOptions, Spread, in_threads
from styleid_ray.datasets.source import Source
from styleid_ray.datasets.splits import dealt
from styleid_ray.errors import ConfigError, SourceError
from styleid_ray.planning.balanced import balance
from styleid_ray.planning.by_class import draw_by_class
from styleid_ray.planning.choice import NOTHING, Choice, Earlier, Indices, choice_of
from styleid_ray.planning.columns import (
    dictionaries,
    key_column,
    sorted_distinct,
    style_columns,
    with_dictionary,
)
from styleid_ray.planning.draw import draw_shared_styles, draw_styles, draw_weighted_styles
from styleid_ray.planning.similar import choose_similar
from styleid_ray.planning.style_share import with_share
from styleid_ray.planning.style_weights import read_weights
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
    """The group of each content (int64, in the order of `contents.keys`) if the pairing makes
    groups: pairs of different groups belong in different shards."""
    notes: tuple[str, ...] = ()
    """Lines for the user."""


def content_options(
    config: SourceOptions, storage_options: Options = None, spread: Spread = in_threads
) -> DatasetOptions:
    """Options for reading the contents of a job."""
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


def read_sources(
    config: SourceOptions, storage_options: Options = None, spread: Spread = in_threads
) -> tuple[Source, Source]:
    """The contents and styles of a job, paired or not.

    Raises:
        SourceError: as `make_pairs`.
    """
    datasets = _datasets(config, storage_options, spread)
    if config.pairing == "table":
        pairs = _from_table(config, datasets)
        return pairs.contents, pairs.styles
    contents, styles = map(read_source, datasets)
    return contents, styles


def make_pairs(
    config: SourceOptions,
    storage_options: Options = None,
    spread: Spread = in_threads,
    earlier: Earlier = NOTHING,
) -> Pairs:
    """Make the pairs that a job asks for. The same inputs always give the same pairs.

    Args:
        config: sources and pairing.
        storage_options: for opening filesystems.
        spread: runs the reading of many files.
        earlier: results of earlier plannings, if the run is extended or its planning was cut off.

    Raises:
        SourceError: a source or the table is missing, empty or inconsistent.
    """
    datasets = _datasets(config, storage_options, spread)
    if config.pairing == "table":
        return _from_table(config, datasets)
    contents, all_styles = map(read_source, datasets)
    styles = with_share(all_styles, config.style_share)
    choice = choice_of(config, contents, styles, datasets[0], earlier)
    if config.style_weights:
        weights = read_weights(config.style_weights, all_styles.keys, storage_options)
        kept = pc.index_in(choice.styles.array, Keys(all_styles.keys).array).to_numpy()
        choice = replace(choice, weights=weights[kept])
    c, s, groups = _paired(choice, contents)
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
    return Pairs(contents, styles, table, groups, choice.notes)


def _datasets(
    config: SourceOptions, storage_options: Options, spread: Spread
) -> tuple[DatasetOptions, DatasetOptions]:
    styles = DatasetOptions(
        config.style or "",
        "style",
        config.style_format,
        storage_options=storage_options,
        spread=spread,
    )
    return content_options(config, storage_options, spread), styles


def _paired(choice: Choice, contents: Source) -> Indices:
    """Indices of the pairs; each split has its own styles unless styles are shared."""
    config = choice.config
    make, splits = _RULES[config.pairing], sorted(set(contents.splits or ()))
    if contents.splits is None or len(splits) < 2 or config.pairing == "zip" or config.share_styles:
        return make(choice)
    of_content = pc.index_in(contents.splits.array, pa.array(splits)).to_numpy()
    of_style = dealt(choice.styles, splits)
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    groups, first = np.zeros(len(of_content), np.int64), 0
    for number, split in enumerate(splits):
        own_contents, own_styles = (np.flatnonzero(of == number) for of in (of_content, of_style))
        if not len(own_styles):
            raise SourceError(
                f"--style has too few pictures for {len(splits)} splits that share none: the split "
                f"{split} got no style; add more, or use --share-styles"
            )
        c, s, own_groups = make(choice.of_split(own_contents, own_styles, split))
        pairs.append((own_contents[c], own_styles[s]))
        if own_groups is not None:
            groups[own_contents] = own_groups + first
            first = int(groups.max()) + 1
    c, s = (np.concatenate(side).astype(np.int32) for side in zip(*pairs, strict=True))
    order = np.argsort(c, kind="stable")
    return c[order], s[order], groups if first else None


def _from_table(config: SourceOptions, datasets: Sequence[DatasetOptions]) -> Pairs:
    assert config.table, "JobConfig sees to this"
    rows = read_table(config.table, datasets[0].storage_options)
    sources: list[Source] = []
    for dataset in datasets:
        names = ["content"] if dataset.what == "content" else style_columns(rows)
        keys, full_urls = _keys(dictionaries(rows, names))
        keys, places = sorted_distinct(keys)
        sources.append(resolve(Keys(keys), dataset, config.table, full_urls))
        rows = with_dictionary(rows, names, keys, places)
    if datasets[0].label_masks:
        check_masks(sources[0], datasets[0])
    if any(source.full_urls for source in sources):
        check_unique(rows, config.table)  # two signatures of one picture are one picture
    return Pairs(sources[0], sources[1], rows)


def _keys(urls: pa.StringArray) -> tuple[pa.StringArray, FullURLs | None]:
    """The keys of a table's URLs [U], and the full URLs where these hold secrets."""
    suspects = urls.filter(pc.match_substring_regex(urls, r"(?s)://.*[?@]"))
    full_urls = FullURLs.of(suspects.to_pylist())
    if full_urls is None:
        return urls, None
    return pa.array([without_secrets(url) for url in urls.to_pylist()], pa.string()), full_urls


def _cross(choice: Choice) -> Indices:
    contents, styles = len(choice.contents), len(choice.styles)
    c = np.repeat(np.arange(contents, dtype=np.int32), styles)
    return c, np.tile(np.arange(styles, dtype=np.int32), contents), None


def _zip(choice: Choice) -> Indices:
    contents, styles = len(choice.contents), len(choice.styles)
    if contents != styles:
        raise SourceError(
            f"--pairing zip needs as many contents as styles, but --content has {contents} "
            f"pictures and --style has {styles}; even them out, or use --pairing cross, "
            "random or table"
        )
    both = np.arange(contents, dtype=np.int32)
    return both, both, None


def _random(choice: Choice) -> Indices:
    choice.check_count()
    if choice.config.reuse and choice.weights is not None:
        raise ConfigError(
            "--style-weights has no effect with --reuse, whose groups share styles: leave one of "
            "them out"
        )
    count, seed, groups = choice.count, choice.config.seed, None
    c = np.repeat(np.arange(len(choice.contents), dtype=np.int32), count)
    if choice.config.reuse:
        drawn, groups = draw_shared_styles(choice.contents, len(choice.styles), count, seed)
    elif choice.weights is not None:
        drawn = draw_weighted_styles(choice.contents, choice.styles, choice.weights, count, seed)
    else:
        drawn = draw_styles(choice.contents, len(choice.styles), count, seed)
    return c, drawn.reshape(-1), groups


_RULES: dict[Pairing, Callable[[Choice], Indices]] = {
    "cross": _cross,
    "zip": _zip,
    "random": _random,
    "balanced": balance,
    "by-class": draw_by_class,
    "nearest": choose_similar,
    "farthest": choose_similar,
}
"""Each pairing but `table` by its name."""

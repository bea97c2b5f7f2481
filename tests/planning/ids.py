"""Ids of pairs by the fields of each, as a plan has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from styleid_ray.planning.identity import hex_ids, pair_digests, text_digests


def pair_ids(
    contents: Sequence[str],
    styles: Sequence[str],
    ks: Sequence[int],
    gammas: Sequence[float | None] | None,
    temperatures: Sequence[float | None] | None,
    fingerprint: str,
) -> list[str]:
    """One id per pair; None in place of γ or temperature stands for the job's."""
    gamma, temperature = (
        None if values is None else np.array(values, np.float64)
        for values in (gammas, temperatures)
    )
    digests = pair_digests(
        text_digests(contents),
        text_digests(styles),
        np.asarray(ks, np.int64),
        gamma,
        temperature,
        fingerprint,
    )
    return hex_ids(digests).astype(str).tolist()

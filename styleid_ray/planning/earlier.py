"""Results of earlier plannings of a run."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from styleid_ray.storage.store import Store


@dataclass(frozen=True)
class Earlier:
    """Results that planning can build on; none for a run that is new."""

    pairs: pa.Table | None = None
    """Columns content and style, texts or dictionaries of them: the distinct pairs of the plan."""
    store: Store | None = None
    """The run's folder, where statistics of pictures are kept; None to keep none."""


NOTHING = Earlier()

"""Inversions that are kept for the pairs to come, within a bound on their memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable

from styleid_ray.engine.features import Inversion

NextUse = Callable[[Hashable], float]
"""Key → when it is needed next; infinity when that is not known."""


def least_recent(key: Hashable) -> float:
    """Nothing is known of the future: the least recently used goes first."""
    del key
    return float("inf")


class InversionCache:
    """Inversions by key, at most `capacity` bytes of them where that can be.

    Room is made by letting go what is needed latest, and among what is not known to be needed the
    least recently used. What is needed at once is never let go, so that a capacity below that is
    exceeded rather than an endless loop.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.entries: OrderedDict[Hashable, Inversion] = OrderedDict()
        self.nbytes = 0
        self.peak = 0
        self.hits = 0
        self.misses = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self.entries

    def use(self, key: Hashable) -> Inversion:
        """The inversion, which becomes the most recently used."""
        self.entries.move_to_end(key)
        return self.entries[key]

    def put(self, key: Hashable, inversion: Inversion) -> None:
        """Add an inversion that is not there yet; `make_room` comes before."""
        self.entries[key] = inversion
        self.nbytes += inversion.nbytes
        self.peak = max(self.peak, self.nbytes)

    def make_room(
        self, nbytes: int, needed: Collection[Hashable] = (), next_use: NextUse = least_recent
    ) -> None:
        """Let go of inversions until `nbytes` more fit; never of those that are `needed`."""
        while self.nbytes + nbytes > self.capacity:
            free = [key for key in self.entries if key not in needed]
            if not free:
                return
            self.drop(max(free, key=next_use))

    def drop(self, key: Hashable) -> None:
        """Let go of one."""
        self.nbytes -= self.entries.pop(key).nbytes

    def clear(self) -> None:
        """Let go of all."""
        self.entries.clear()
        self.nbytes = 0

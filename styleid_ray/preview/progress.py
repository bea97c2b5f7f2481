"""Progress of a preview."""

from __future__ import annotations

from collections.abc import Callable

from styleid_ray.batch.watch.progress import Progress


class PreviewProgress(Progress):
    """Counts pictures; the time left follows from the UNet evaluations, inversions included.

    Args:
        pictures: to be made.
        evaluations: expected number.
    """

    def __init__(self, pictures: int, evaluations: int) -> None:
        super().__init__(evaluations, 0, 0, "UNet evaluations")
        self.pictures, self.made, self.lost = pictures, 0, 0
        self._evaluations: Callable[[], int] = lambda: 0

    def follow(self, evaluations: Callable[[], int]) -> None:
        """Sets the function that returns the evaluations so far, for each display."""
        self._evaluations = evaluations

    def count(self, good: bool) -> None:
        """Counts one more picture, made or failed."""
        self.made += good
        self.lost += not good

    def finish(self) -> None:
        """Replaces the estimate by the evaluations that were needed."""
        self.planned = self._evaluations()

    def line(self) -> str:
        """The state in one line."""
        self.make(self._evaluations())
        lost = f", {self.lost} failed" if self.lost else ""
        pictures = f"{self.made} of {self.pictures} pictures{lost}"
        return f"{pictures} · {super().line()}" if self.planned else pictures

"""The work of an actor, in this process."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import ray
from PIL import Image

from styleid_ray.evaluation.actor import Measure
from styleid_ray.evaluation.folders import FolderResults
from tests.evaluation.drawn import SIZE, draw, write_folders


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The rows of the folders by the name of their results, as an actor without networks gives
    them."""
    monkeypatch.setattr(ray, "get", lambda weights: weights)
    folders = write_folders(tmp_path)

    def rows() -> dict[tuple[str, str], dict[str, Any]]:
        results = FolderResults.find(*map(str, folders))
        units = [pickle.dumps(("pairs", unit)) for unit in results.units()]
        tables = Measure(results, {}, "cpu", 1)(pa.table({"unit": units}))
        found = [row for table in tables for row in table.to_pylist()]
        return {(row["content"][0], row["style"][0]): row for row in found}

    rows.folders = folders  # pyright: ignore[reportFunctionMemberAccess]
    return rows


@pytest.mark.parametrize("odd", ["a_stylized_x", "a_stylized_y"])
def test_a_result_of_another_size_than_its_content_costs_itself_alone(
    measured: Any, odd: str
) -> None:
    draw("odd", (40, 40)).save(measured.folders[0] / f"{odd}.png")
    rows = measured()
    assert "bring both to one size" in rows["a", odd[-1]]["trouble"]
    assert f"{SIZE[0]} x {SIZE[1]} pixels" in rows["a", odd[-1]]["trouble"]
    good = [row for pair, row in rows.items() if pair != ("a", odd[-1])]
    assert not any(row["trouble"] for row in good)
    assert all(row["histogram_loss"] for row in rows.values())


@pytest.mark.parametrize(
    ("size", "message"), [((3, 40), "too small"), ((8, 200), "too oblong"), ((200, 9), "oblong")]
)
def test_pictures_that_no_network_can_measure_fail_alone(
    measured: Any, size: tuple[int, int], message: str
) -> None:
    Image.new("RGB", size).save(measured.folders[0] / "b_stylized_x.png")
    rows = measured()
    assert message in rows["b", "x"]["trouble"]
    assert rows["b", "x"]["histogram_loss"] is None
    assert rows["a", "x"]["trouble"] is None


def test_a_damaged_style_costs_what_is_compared_with_it(measured: Any) -> None:
    (measured.folders[2] / "y.png").write_bytes(b"no picture")
    rows = measured()
    assert rows["a", "y"]["trouble"].startswith("style: ")
    assert rows["a", "y"]["histogram_loss"] is None
    assert rows["a", "x"]["trouble"] is None

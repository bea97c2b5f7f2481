"""The notebook for a first look, executed from top to bottom."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "quickstart.ipynb"


def test_the_notebook_is_stored_without_outputs() -> None:
    stored = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(stored)
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert code
    assert not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.cluster
def test_the_notebook_shows_three_grids_and_stylises_ten_pictures(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", ())]
    assert sum("image/png" in one.get("data", ()) for one in outputs) == 3
    printed = "".join(one["text"] for one in outputs if one.get("name") == "stdout")
    assert "10 pictures, 0 failed" in printed

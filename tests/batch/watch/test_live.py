from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.watch import live
from styleid_ray.batch.watch.live import PROGRESS, Live, pairs_under_way
from styleid_ray.batch.watch.progress import Progress


def test_readers_elsewhere_see_the_progress_within_a_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, progress = Output(str(tmp_path)), Progress(planned=100, done=10, failed=1)
    monkeypatch.setattr(live, "_WRITE_SECONDS", 0.0)
    shown = Live(output, progress)
    assert pairs_under_way(output) == 11
    progress.make(7)
    shown.show()
    assert pairs_under_way(output) == 18
    shown.close()
    shown.show()  # a late poll of the board
    assert not (tmp_path / PROGRESS).exists()
    assert pairs_under_way(output) is None


def test_stale_and_damaged_progress_files_are_ignored(tmp_path: Path) -> None:
    output = Output(str(tmp_path))
    old = {"time": time.time() - 3600, "done": 5, "failed": 0, "making": 5}
    for content in (json.dumps(old), "{", "[]", "{}"):
        output.write(PROGRESS, content.encode())
        assert pairs_under_way(output) is None

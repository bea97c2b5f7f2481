"""The table beside published figures."""

from __future__ import annotations

from styleid_ray.evaluation.published import PUBLISHED, WARNING, table


def test_a_run_stands_among_the_published_by_its_artfid() -> None:
    lines = table({"artfid": 28.0, "fid": 17.5, "lpips": 0.5, "cfsd": 0.25})
    names = [line[:26].strip() for line in lines[1:-1]]
    assert len(names) == len(PUBLISHED) + 1
    assert names.index("StyleID") - 2 == names.index("this run")
    assert "28.000" in lines[names.index("this run") + 1]
    assert lines[-1] == WARNING


def test_a_run_without_artfid_comes_last() -> None:
    lines = table(dict.fromkeys(("artfid", "fid", "lpips", "cfsd")))
    assert lines[-2].split()[:3] == ["this", "run", "-"]


def test_an_artfid_is_the_product_of_its_parts() -> None:
    for row in PUBLISHED:
        assert abs((1 + row.lpips) * (1 + row.fid) / row.artfid - 1) < 0.002, row.name

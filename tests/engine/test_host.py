"""The host memory that a process may use, by cgroups as kernels show them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from styleid_ray.engine import host

GIB = 2**30


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of the cgroups of a machine with 64 GiB free."""
    machine = SimpleNamespace(available=64 * GIB)
    monkeypatch.setattr(host.psutil, "virtual_memory", lambda: machine)
    monkeypatch.setattr(host, "_MOUNT", tmp_path)
    monkeypatch.setattr(host, "_OWN", tmp_path / "own")
    return tmp_path


def own(root: Path, *lines: str) -> None:
    (root / "own").write_text("".join(f"{line}\n" for line in lines))


def version_2(folder: Path, limit: int | None, used: int, cached: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text("max\n" if limit is None else f"{limit * GIB}\n")
    (folder / "memory.current").write_text(f"{used * GIB}\n")
    stat = f"anon 1\nfile {cached * GIB}\ninactive_file {(cached - 1) * GIB}\nactive_file {GIB}\n"
    (folder / "memory.stat").write_text(stat if cached else "anon 1\n")


def version_1(folder: Path, limit: int, used: int, cached: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{used * GIB}\n")
    own_cache = "inactive_file 0\nactive_file 0\n"
    total = f"total_inactive_file {cached * GIB}\ntotal_active_file 0\n"
    (folder / "memory.stat").write_text(own_cache + total)


def test_a_container_that_has_read_much_has_the_page_cache_free(root: Path) -> None:
    own(root, "0::/")
    version_2(root, limit=16, used=15, cached=12)
    assert host.free_memory() == 13 * GIB


def test_a_slurm_job_sees_the_least_limit_around_it(root: Path) -> None:
    own(root, "0::/system.slice/slurmstepd.scope/job_7/step_0/user/task_0")
    job = root / "system.slice/slurmstepd.scope/job_7"
    version_2(job, limit=8, used=5)
    version_2(job / "step_0", limit=32, used=5)
    version_2(job / "step_0/user/task_0", limit=None, used=5)
    assert host.free_memory() == 3 * GIB


def test_cgroups_of_version_1_count_the_cache_of_the_groups_inside(root: Path) -> None:
    own(root, "5:cpu,cpuacct:/", "4:memory:/slurm/uid_0/job_7", "0::/")
    version_1(root / "memory/slurm", 9223372036854771712, used=40, cached=0)
    version_1(root / "memory/slurm/uid_0/job_7", 8 * GIB, used=7, cached=4)
    assert host.free_memory() == 5 * GIB


def test_a_container_that_knows_the_path_on_its_host_has_its_own_limit(root: Path) -> None:
    own(root, "0::/kubepods/pod1/container1")
    version_2(root, limit=16, used=10)
    assert host.free_memory() == 6 * GIB


def test_a_full_cgroup_has_nothing_free(root: Path) -> None:
    own(root, "0::/")
    version_2(root, limit=4, used=5)
    assert host.free_memory() == 0


def test_a_machine_without_limits_has_what_it_reports(root: Path) -> None:
    assert host.free_memory() == 64 * GIB
    own(root, "0::/user.slice")
    version_2(root / "user.slice", limit=None, used=5)
    assert host.free_memory() == 64 * GIB

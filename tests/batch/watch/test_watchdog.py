"""A device that hangs, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

PROCESS = """
import threading
from styleid_ray.batch.watch.watchdog import watch_device

steps = iter({steps})
watch_device(lambda: next(steps), 0.2, lambda reason: print(reason, flush=True), lambda: None)

def waits_for_a_kernel():
    threading.Event().wait({wait})

waits_for_a_kernel()
print("alive")
"""


def ended(steps: str, wait: str) -> subprocess.CompletedProcess[str]:
    code = PROCESS.format(steps=steps, wait=wait)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_a_process_whose_device_makes_no_step_ends_and_its_log_has_the_stacks() -> None:
    process = ended("iter(int, 1)", wait="")  # 0 for ever
    assert process.returncode == 1
    assert process.stdout == "its device made no step for 0.2 s\n"
    assert "waits_for_a_kernel" in process.stderr


def test_a_device_that_makes_steps_or_has_no_work_is_left_alone() -> None:
    for steps in ("range(10**9)", "iter(lambda: None, 1)"):
        process = ended(steps, wait="1")
        assert (process.returncode, process.stdout) == (0, "alive\n"), process.stderr

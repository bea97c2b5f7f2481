"""A run leaves the process that it runs in as it was; a command keeps its terminal to itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from styleid_ray import JobConfig

pytestmark = pytest.mark.cluster

Job = Callable[..., JobConfig]

STATE = r"""
import logging, os, re, signal, sys, warnings
import ray, ray.data

def state():
    names = ["", *sorted(logging.root.manager.loggerDict)]
    loggers = [logging.getLogger(name) for name in names if name == "" or name.startswith("ray")]
    return {
        "data context": {**vars(ray.data.DataContext.get_current())},
        "levels": {one.name: one.level for one in loggers},
        "handlers": {one.name: [(h, h.level) for h in one.handlers] for one in loggers},
        "warnings": [one for one in warnings.filters if re.search(r"\bray\b", repr(one))],
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "environment": {name: v for name, v in os.environ.items() if name.startswith("RAY")},
        "streams": (sys.stdout, sys.stderr, os.fstat(1), os.fstat(2)),
    }

def changed(before):
    after = state()
    for kind in ("levels", "handlers"):  # what was imported meanwhile has loggers of its own
        after[kind] = {name: one for name, one in after[kind].items() if name in before[kind]}
    return {name: (before[name], after[name]) for name in before if before[name] != after[name]}
"""


def run(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "default::DeprecationWarning:host", "-c", STATE + code, *args],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.mark.parametrize("connected", [True, False])
def test_stylize_restores_the_logging_warnings_signals_and_data_context_of_its_host(
    job: Job, connected: bool
) -> None:
    host = run(
        """
from styleid_ray import JobConfig
from styleid_ray.batch.run import stylize

config = JobConfig.model_validate_json(sys.argv[1])
if sys.argv[2] == "True":
    ray.init("local", num_cpus=3, include_dashboard=False, log_to_driver=False)
signal.signal(signal.SIGTERM, lambda *_: None)
before = state()
assert stylize(config, open(os.devnull, "w")).done == 6
print(changed(before))
""",
        job().model_dump_json(),
        str(connected),
    )
    assert host.returncode == 0, host.stderr
    assert host.stdout.splitlines()[-1] == "{}"


def test_only_the_lines_of_a_command_reach_its_terminal_while_workers_die(tmp_path: object) -> None:
    command = run(
        """
from styleid_ray.batch.cluster.process import own_process
with own_process():
    from styleid_ray.batch.cluster.connect import connected
    from styleid_ray.config import ClusterOptions
    with connected(ClusterOptions()):
        @ray.remote(max_restarts=1, max_task_retries=1)
        class Dying:
            def live(self, once):
                print("a worker's line")
                if not os.path.exists(once):
                    open(once, "w").close()
                    os.kill(os.getpid(), 9)
        ray.get(Dying.remote().live.remote(sys.argv[1]))
        ds = ray.data.range(8).map_batches(lambda batch: batch)
        ds.context.enable_progress_bars = False
        ds.materialize()
        print("progress", file=sys.stderr)
        print("of a library")
        os.write(2, b"of native code")
print("result")
print("end", file=sys.stderr)
""",
        f"{tmp_path}/once",
    )
    assert (command.returncode, command.stdout, command.stderr) == (
        *(0, "result\n"),
        "progress\nend\n",
    )

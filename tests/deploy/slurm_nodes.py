"""A Slurm on hosts of a network of its own, with Debian's slurm-wlm and munge, as root.

Each node has its own process table, host name and /tmp/ray: `ray symmetric-run` stops every Ray
process that it can see.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.hosts.network import Host, network, wait_for, why_not

# Without cgroups, accounting or systemd. A requeued job starts again once its credential has
# expired: by default after two minutes, here after half of one, the least that Slurm takes.
_CONFIG = """
ClusterName=tests
SlurmctldHost=node1({addresses[0]})
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=30
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
PartitionName=all Nodes=ALL Default=YES State=UP
"""
_NODE = "NodeName={name} NodeAddr={address} CPUs={cpus}\n"
# bash stays the first process of the node, and collects those that lose their parents.
_MACHINE = """
hostname $0 && mount --bind {folder}/hosts /etc/hosts
mkdir -p /tmp/ray && mount -t tmpfs ray /tmp/ray
slurmd -D -N $0; exit
"""


def why_no_slurm() -> str:
    """The reason why no Slurm can be started here, or nothing."""
    if not all(map(shutil.which, ("munged", "slurmctld", "slurmd", "sbatch"))):
        return "Slurm is missing: apt-get install slurm-wlm munge"
    return why_not()


class Slurm:
    """The commands of a running Slurm, given on its first node."""

    def __init__(self, node: Host) -> None:
        self._node = node

    def __call__(self, *command: object) -> str:
        """Prints of a command that works; raises CalledProcessError for another."""
        run = subprocess.run(
            ["ip", "netns", "exec", self._node.namespace, *map(str, command)],
            env=dict(self._node.environment),
            cwd=self._node.home,
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout.strip()

    def job(self, number: str) -> dict[str, str]:
        """Facts of a job by Slurm's names: JobState, ExitCode, Restarts and so on."""
        words = self("scontrol", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)


@contextmanager
def slurm(folder: Path, nodes: int) -> Iterator[Slurm]:
    """A Slurm for the block.

    Args:
        folder: for its files, home folders and logs; an empty one.
        nodes: number of nodes, which all have the cores of this machine.
    """
    for name in ("state", *(f"spool-node{number}" for number in range(1, nodes + 1))):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
        "SLURM_CONF": str(folder / "slurm.conf"),
        "OMP_NUM_THREADS": "1",
        "RAY_TMPDIR": "/tmp",  # short: paths of sockets have 107 bytes at most
        "LANG": "C.UTF-8",
    }
    with network(folder, environment) as made:
        hosts = {f"node{number}": made.add(f"node{number}") for number in range(1, nodes + 1)}
        addresses = [host.address for host in hosts.values()]
        (folder / "hosts").write_text(
            "127.0.0.1 localhost\n"
            + "".join(f"{host.address} {name}\n" for name, host in hosts.items())
        )
        (folder / "slurm.conf").write_text(
            _CONFIG.format(folder=folder, addresses=addresses)
            + "".join(
                _NODE.format(name=name, address=host.address, cpus=os.cpu_count())
                for name, host in hosts.items()
            )
        )
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # loads it; uses none
        first = hosts["node1"]
        first.start(
            "munge.log",
            *("munged", "--foreground", "--force", f"--socket={folder}/munge.socket"),
            *(f"--key-file={key}", f"--pid-file={folder}/munge.pid"),
            *(f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"),
        )
        wait_for("munge", (folder / "munge.socket").exists)
        # As on a machine of its own: it is asked for by the name that it has there.
        apart = ("unshare", "--mount", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child")
        first.start(
            "slurmctld.log", *apart[:1], "--uts", "sh", "-c", "hostname node1; exec slurmctld -D -c"
        )
        for name, host in hosts.items():
            host.start("slurmd.log", *apart, "bash", "-c", _MACHINE.format(folder=folder), name)
        slurm = Slurm(first)
        wait_for("idle nodes", lambda: _states(slurm) == {"idle"}, 60)
        yield slurm


def _states(slurm: Slurm) -> set[str]:
    try:
        return set(slurm("sinfo", "--noheader", "--Node", "--format=%T").split())
    except subprocess.CalledProcessError:  # the controller is not listening yet
        return set()

"""A Slurm cluster on this machine: the real daemons, two nodes, GPUs that are device files only.

A job that takes more memory than it requested is killed. A job of the partition `urgent` preempts
others, which are requeued; they wait `cred_expire` seconds before they start again.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock

# Slurm's job steps read no other file, whatever SLURM_CONF says.
CONFIG = Path("/etc/slurm/slurm.conf")
PREFIX = "genlab-slurm-"
NODES = ("n1", "n2")

SLURM_CONF = """\
ClusterName=genlab
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=15
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MpiDefault=none
ReturnToService=2
MinJobAge=3600
KillWait=20
GresTypes=gpu
NodeName=n[1-2] NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]},{ports[2]} \
CPUs=8 RealMemory=16000 Gres=gpu:2
PartitionName=all Nodes=n[1-2] Default=YES State=UP PriorityTier=1
PartitionName=urgent Nodes=n[1-2] State=UP PriorityTier=2
"""
GRES_CONF = "NodeName=n[1-2] Name=gpu File=/dev/null,/dev/zero\n"


def obstacle() -> str | None:
    """Why no cluster can be started here, if so."""
    if os.geteuid() != 0:
        return "only root can start a Slurm cluster"
    if missing := [name for name in ("munged", "slurmctld", "slurmd") if not shutil.which(name)]:
        return f"not installed: {', '.join(missing)} (Debian: slurm-wlm, munge)"
    if os.path.lexists(CONFIG) and PREFIX not in str(CONFIG.resolve()):
        return f"{CONFIG} belongs to another cluster"
    return None


def ended(*command: str) -> str:
    """What `command` printed; it must have ended well."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def wait(condition: str, *command: str, seconds: float = 30) -> None:
    """Wait until all lines that `command` prints are equal to `condition`, which may be none."""
    deadline = time.monotonic() + seconds
    while set(ended(*command).split()) - {condition}:
        assert time.monotonic() < deadline, f"{command}: {ended(*command)}"
        time.sleep(0.2)


@contextmanager
def daemon(folder: Path, name: str, *command: str) -> Iterator[None]:
    """Run a daemon in the foreground until the block ends."""
    with (folder / f"{name}.out").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens to."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def cluster() -> Iterator[None]:
    """Two idle nodes; sbatch, srun and the other commands talk to them until the block ends."""
    with ExitStack() as stack:
        stack.enter_context(FileLock(Path(tempfile.gettempdir()) / f"{PREFIX}lock"))
        # The path of a socket may have 107 characters, pytest's own folders are too deep.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX)))
        (folder / "state").mkdir()
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o600)
        config = folder / "slurm.conf"
        config.write_text(SLURM_CONF.format(folder=folder, ports=free_ports(3)))
        (folder / "gres.conf").write_text(GRES_CONF)
        CONFIG.unlink(missing_ok=True)
        CONFIG.symlink_to(config)
        stack.callback(CONFIG.unlink)

        files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log"}
        options = [f"--{option}={folder}/munge.{name}" for option, name in files.items()]
        seed = f"--seed-file={folder}/munge.seed"
        # --force: the folder is root's own, other users have no way to the socket.
        munged = ("munged", "--foreground", "--force", seed, *options)
        stack.enter_context(daemon(folder, "munged", *munged))
        deadline = time.monotonic() + 10
        while not (folder / "munge.socket").exists():
            assert time.monotonic() < deadline, (folder / "munged.out").read_text()
            time.sleep(0.05)
        controller = ("slurmctld", "-D", "-f", str(config))
        stack.enter_context(daemon(folder, "slurmctld", *controller))
        for node in NODES:
            (folder / node).mkdir()
            daemon_of_node = ("slurmd", "-D", "-N", node, "-f", str(config))
            stack.enter_context(daemon(folder, node, *daemon_of_node))
        wait("idle", "sinfo", "--noheader", "--Node", "--format=%T")
        try:
            yield
        finally:
            ended("scancel", "--user=root")
            wait("", "squeue", "--noheader", "--format=%i")


def job(number: str) -> dict[str, str]:
    """What the controller knows of a job, by Slurm's own names."""
    fields = ended("scontrol", "--oneliner", "show", "job", number).split()
    return dict(field.split("=", 1) for field in fields if "=" in field)

"""A Slurm cluster on this machine: munged, slurmctld and three slurmd as virtual nodes on the loopback, from Debian's
packages. Its folder holds all of it; `close()` ends what it started and removes the folder."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "squeue")
NODES = ("n1", "n2", "n3")
CPUS = 8  # Of a node, as Slurm sees it; the machine may have less.
PORTS_OF_STEPS = 200

CONFIGURATION = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/spool.%n
TmpFS={folder}/tmp.%n
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/%n.log
SlurmctldDebug=info
SlurmdDebug=info
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,bf_interval=1,batch_sched_delay=0,defer_batch
MpiDefault=none
MpiParams=ports={first_port}-{last_port}
GresTypes=gpu
ReturnToService=2
SlurmdTimeout={slurmd_timeout}
SlurmctldTimeout=30
MessageTimeout=20
InactiveLimit=0
MinJobAge=300
KillWait=5
WaitTime=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
{more}
{nodes}
PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def missing():
    """Why there can be no lab here; None where there can."""
    if os.geteuid() != 0:
        return "a Slurm lab needs root: slurmd starts tasks as other users"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"no {', '.join(absent)}: apt-get install slurmctld slurmd slurm-client munge"
    return None


def free_ports(count):
    """The first of `count` ports in a row that nobody listens at, below the range of outgoing connections."""
    first = 20_000 + os.getpid() % 4_000 * 2
    while first + count < 32_000:
        sockets = []
        try:
            for port in range(first, first + count):
                sockets.append(socket.socket())
                sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sockets[-1].bind(("127.0.0.1", port))
            return first
        except OSError:
            first += count
        finally:
            for one in sockets:
                one.close()
    raise RuntimeError("no free ports")


class SlurmLab:
    def __init__(self, slurmd_timeout=300, more=""):
        self.folder = Path(tempfile.mkdtemp(prefix="slurm_lab_"))
        self.folder.chmod(0o755)
        self.daemons, self.num_idle = {}, 0
        self.env = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}
        try:
            self._write(slurmd_timeout, more)
            self._start_munge()
            self.start_controller()
            for node in NODES:
                self.start_node(node)
            self.wait_for(lambda: self.states() == dict.fromkeys(NODES, "idle"), 60, "idle nodes")
            self.num_idle = len(self.processes())  # Daemons and their helpers.
        except BaseException:
            self.close()
            raise

    def _write(self, slurmd_timeout, more):
        for name in ("munge", "controller", *(f"{kind}.{node}" for kind in ("spool", "tmp") for node in NODES)):
            (self.folder / name).mkdir(mode=0o755)
        host = socket.gethostname().split(".")[0]
        first = free_ports(4 + PORTS_OF_STEPS)
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={first + 1 + i} CPUs={CPUS} "
            f"Gres=gpu:h200:2 State=UNKNOWN" for i, node in enumerate(NODES))
        text = CONFIGURATION.format(folder=self.folder, host=host, controller_port=first, nodes=nodes, more=more,
                                    first_port=first + 4, last_port=first + 3 + PORTS_OF_STEPS,
                                    slurmd_timeout=slurmd_timeout)
        (self.folder / "slurm.conf").write_text(text)
        lines = []
        for node in NODES:
            for gpu in range(2):  # Character devices, or slurmd will not have them: each is a /dev/null.
                device = self.folder / f"{node}.gpu{gpu}"
                os.mknod(device, 0o020666, os.makedev(1, 3))
                lines.append(f"NodeName={node} Name=gpu Type=h200 File={device}")
        (self.folder / "gres.conf").write_text("\n".join(lines) + "\n")
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")

    def _spawn(self, name, *words):
        with open(self.folder / f"{name}.out", "ab") as out:
            self.daemons[name] = subprocess.Popen(list(map(str, words)), stdin=subprocess.DEVNULL, stdout=out,
                                                  stderr=out, env=self.env, start_new_session=True)

    def _start_munge(self):
        key = self.folder / "munge/key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        self._spawn("munged", "munged", "--foreground", "--force", "--socket", self.folder / "munge/socket",
                    "--key-file", key, "--pid-file", self.folder / "munge/pid", "--seed-file",
                    self.folder / "munge/seed", "--log-file", self.folder / "munge/log")
        self.wait_for(lambda: (self.folder / "munge/socket").exists(), 10, "munged")

    def start_controller(self):
        self._spawn("slurmctld", "slurmctld", "-D", "-i", "-f", self.folder / "slurm.conf")
        self.wait_for(lambda: self.run("scontrol", "ping", check=False).returncode == 0, 30, "slurmctld")

    def start_node(self, node):
        self._spawn(node, "slurmd", "-D", "-N", node, "-f", self.folder / "slurm.conf")

    def kill_node(self, node):
        """The node's slurmd alone; its steps live on."""
        daemon = self.daemons.pop(node)
        daemon.kill()
        daemon.wait()

    def wait_for(self, condition, timeout, what):
        end = time.monotonic() + timeout
        while not (value := condition()):
            assert time.monotonic() < end, f"{what}: not in {timeout} s\n{self.logged()}"
            time.sleep(0.05)
        return value

    def logged(self, lines=15):
        """The ends of the daemons' logs."""
        logs = sorted([*self.folder.glob("*.log"), *self.folder.glob("*.out")])
        return "\n".join(f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
                         for log in logs)

    def run(self, *words, check=True, timeout=60, env=None, **more):
        done = subprocess.run(list(map(str, words)), env={**self.env, **(env or {})}, capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL, **more)
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def states(self):
        rows = self.run("sinfo", "-h", "-N", "-p", "batch", "-o", "%N %T", check=False).stdout.split("\n")
        return dict(row.split() for row in rows if row.strip())

    def job_state(self, job):
        shown = self.run("scontrol", "show", "job", "-o", job, check=False).stdout
        return dict(word.split("=", 1) for word in shown.split() if "=" in word).get("JobState", "GONE")

    def close(self):
        """Ends jobs and daemons and removes the folder."""
        if "slurmctld" in self.daemons:
            self.run("scancel", "--user", "root", "--signal=KILL", check=False)
            self.run("scancel", "--user", "root", check=False)
            self._wait_for_steps(10)
        for daemon in self.daemons.values():
            daemon.send_signal(signal.SIGTERM)
        for daemon in self.daemons.values():
            try:
                daemon.wait(5)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait_for_steps(self, timeout):
        end = time.monotonic() + timeout
        while time.monotonic() < end and len(self.processes()) > self.num_idle:
            time.sleep(0.1)

    def processes(self):
        """{pid: words} of all processes that have this lab in their environment or command line."""
        mark = str(self.folder).encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                words = (entry / "cmdline").read_bytes()
                if mark in words or mark in (entry / "environ").read_bytes():
                    found[int(entry.name)] = words.decode(errors="replace").split("\0")[:-1]
            except OSError:
                continue
        return found

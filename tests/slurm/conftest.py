"""What tests on a real Slurm share: one lab for each file, a small model, jobs that are looked after."""
import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from support import lockstep
from support.gateway import read_events
from support.random_model import Case
from support.slurm_lab import SlurmLab, missing

SITE = """\
interface = "lo"
overlap_minutes = 1
signal_seconds = 60
drain_seconds = {drain}
setup = '''
export OMPI_MCA_btl=self,tcp OMPI_MCA_mpi_yield_when_idle=1
'''
"""
LEFTOVERS = ("vader_segment.", "osc_rdma.", "sm_segment.", "lockstep.")


def leftovers():
    return {name for name in os.listdir("/dev/shm") if name.startswith(LEFTOVERS)}


@pytest.fixture(scope="module")
def lab():
    reason = missing()
    if reason:
        pytest.skip(reason)
    before = leftovers()
    lab = SlurmLab(slurmd_timeout=20)
    try:
        yield lab
    finally:
        lab.close()
    assert lab.processes() == {}
    assert leftovers() - before == set()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    Case.behaving().gguf().write(folder / "tiny.gguf")
    return lockstep.shard(folder / "tiny.gguf", folder / "tiny")


class Service:
    """A job of `lockstep submit`, seen through its registry file."""

    def __init__(self, lab, folder, model, *options, drain=5, site=SITE, submit=True):
        self.lab, self.home = lab, Path(folder)
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "site.toml").write_text(site.format(drain=drain))
        self.env = {"HOME": str(self.home), "LOCKSTEP_SITE": str(self.home / "site.toml")}
        self.words = ["submit", "--model", model, "--model-name", "tiny", "--threads", 1, "--ctx-size", 512,
                      "--kv-blocks", 256, *options]
        self.state = self.home / ".lockstep/lockstep"
        self.job = self.submit() if submit else None

    def lockstep(self, *words, **more):
        return self.lab.run(lockstep.BINARY, *words, env=self.env, **more)

    def submit(self, *more):
        return self.lockstep(*self.words, *more).stdout.strip()

    def log(self):
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}"
                         for log in sorted(self.state.glob("job-*.log")))

    def registration(self, job=None):
        """What the registry says now; None while there is no gateway that holds its lease, or `job` does not yet."""
        try:
            text = (self.home / f".lockstep/jobs/{job or self.job}.json").read_text()
        except OSError:
            return None
        found = json.loads(text)
        is_ours = job is None or found["job"] == job
        return found if is_ours and found["expires_ms"] > time.time() * 1000 else None

    def open(self, path, body=None, headers=None, timeout=60, job=None):
        at = self.registration(job)
        if at is None:
            raise ConnectionError("no gateway in the registry")
        request = urllib.request.Request(at["url"] + path, data=None if body is None else json.dumps(body).encode())
        request.add_header("Authorization", "Bearer " + Path(at["key_file"]).read_text().strip())
        request.add_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        context = ssl.create_default_context(cadata=at["certificate"])
        return urllib.request.urlopen(request, timeout=timeout, context=context)

    def ask(self, path, body=None, **more):
        with self.open(path, body, **more) as answer:
            return json.loads(answer.read())

    def events(self, body, **more):
        with self.open("/v1/completions", {**body, "stream": True}, **more) as answer:
            yield from read_events(answer)

    def ready(self):
        try:
            with self.open("/metrics") as answer:
                return answer.read().decode()
        except (OSError, ConnectionError):
            return ""

    def wait_ready(self, replicas=1, timeout=120, job=None, but=None):
        """Until that many replicas answer, of another generation than `but`."""
        def is_ready():
            assert self.lab.job_state(self.job) not in ("FAILED", "CANCELLED", "TIMEOUT"), self.log()
            try:
                states = self.ask("/v1/lockstep/status", job=job)["replicas"]
            except urllib.error.HTTPError as refused:
                assert refused.code >= 500, refused.read()
                return False
            except (OSError, ConnectionError):
                return False
            return sum(one["state"] == "ready" and one["epoch"] != but for one in states) >= replicas
        end = time.monotonic() + timeout
        while not is_ready():
            assert time.monotonic() < end, f"not ready in {timeout} s\n{self.log()}\n{self.lab.logged()}"
            time.sleep(0.1)

    def steps(self):
        """{name: step id} of the steps that run."""
        rows = self.lab.run("squeue", "-h", "-s", "-j", self.job, "-o", "%j %i", check=False).stdout.splitlines()
        return dict(row.split() for row in rows if len(row.split()) == 2)

    def processes(self, subcommand):
        """[pid] of this job's processes of `lockstep SUBCOMMAND`."""
        mark = str(self.state)
        return sorted(pid for pid, words in self.lab.processes().items()
                      if len(words) > 1 and words[0].endswith("lockstep") and words[1] == subcommand and
                      any(mark in word for word in words))

    def end(self, timeout=40):
        self.lab.run("scancel", "--user", "root", "--name", "lockstep", check=False)
        end = time.monotonic() + timeout
        while self.processes("worker") or self.processes("serve"):
            assert time.monotonic() < end, self.lab.processes()
            time.sleep(0.1)


@pytest.fixture
def service(lab, tmp_path, model):
    started = []

    def start(*options, **more):
        started.append(Service(lab, tmp_path / f"home{len(started)}", model, *options, **more))
        return started[-1]

    yield start
    for one in started:
        one.end()


def run_alone(model, prompt_ids, max_tokens, **sampling):
    """The undisturbed answer, by one rank."""
    return lockstep.generate(model, prompt_ids=prompt_ids, max_tokens=max_tokens, **sampling)

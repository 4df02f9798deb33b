"""How a service goes on where its job ends: the time limit, a preemption, a requeue, nodes that go down."""
import os
import signal
import subprocess
import threading
import time

import pytest

from serve_test import Patient, alone, hashes, request  # noqa: F401: a fixture
from conftest import SITE

LONG = 20_000  # Tokens that the small model cannot have: its context ends before.


class Stream(threading.Thread):
    """Reads one stream to its end, over as many connections and jobs as it takes."""

    def __init__(self, service, body, key):
        super().__init__(daemon=True)
        self.service, self.body, self.key = service, body, key
        self.tokens, self.last, self.receipts, self.ended, self.job = 0, None, [], threading.Event(), None
        self.connections = 0
        self.start()

    def run(self):
        while not self.ended.is_set():
            try:
                self.read()
                return
            except (OSError, ConnectionError, ValueError):
                time.sleep(0.2)

    def read(self):
        self.connections += 1
        if self.last is None:
            events = self.service.events(self.body, headers={"Idempotency-Key": self.key}, job=self.job)
        else:
            from support.gateway import read_events
            answer = self.service.open(f"/v1/requests/{self.last.split(':')[0]}/events", job=self.job,
                                       headers={"Last-Event-ID": self.last})
            events = read_events(answer)
        for event_id, data in events:
            self.last = event_id or self.last
            self.receipts += data.get("lockstep", {}).get("receipts", [])
            self.tokens += len(data.get("choices", []))


def test_usr1_hands_an_open_stream_to_the_successor(service, alone):
    # The successor may begin at once: it waits for the state directory.
    one = service("--nodes", 1, "--ranks", 1, "--time", 4, drain=0, site=SITE.replace("= 1", "= 4", 1))
    one.wait_ready()
    lab, state = one.lab, one.state
    successor = lab.wait_for(
        lambda: [job for job in lab.run("squeue", "-h", "-o", "%A").stdout.split() if job != one.job], 30, "successor")
    lab.wait_for(lambda: (state / f"job-{successor[0]}.log").exists(), 30, "its start")
    streams = [Stream(one, request(400), f"stream-{i}") for i in range(48)]  # The small model is fast.
    lab.wait_for(lambda: any(stream.tokens for stream in streams), 60, "a stream")
    # What Slurm does near the time limit.
    lab.run("scancel", "--signal=USR1", "--batch", one.job)
    began = time.monotonic()
    for stream in streams:
        stream.job = successor[0]
    one.wait_ready(job=successor[0], timeout=240)
    print(f"the successor answers {time.monotonic() - began:.1f} s after USR1")
    for stream in streams:
        stream.join(120)
        stream.ended.set()
        assert not stream.is_alive() and stream.receipts, one.log()
        assert (stream.receipts[0]["output_hash"], stream.receipts[0]["trace_root"]) == alone[400]
    resumed = sum(stream.connections > 1 for stream in streams)
    print(f"{resumed} of {len(streams)} streams went on there")
    assert resumed
    assert lab.job_state(one.job) == "COMPLETED"
    assert hashes(one.ask("/v1/completions", request(16), job=successor[0])) == alone[16]


@pytest.mark.long
def test_a_higher_partition_preempts_and_the_job_comes_back(service, alone):
    one = service("--nodes", 3, "--ranks", 3, "--cpus-per-rank", 8, "--time", 60, "--no-successor", drain=0)
    one.wait_ready()
    lab = one.lab
    client = Patient(one, "preempted")
    urgent = lab.run("sbatch", "--parsable", "-p", "urgent", "-N3", "--exclusive", "--wrap", "sleep 5").stdout.strip()
    lab.wait_for(lambda: lab.job_state(urgent) in ("RUNNING", "COMPLETED"), 120, "the urgent job")
    lab.wait_for(lambda: lab.job_state(urgent) == "COMPLETED", 60, "its end")
    lab.run("scontrol", "update", f"JobId={one.job}", "StartTime=now", check=False)
    one.wait_ready(timeout=300)
    assert client.result() == alone[400]
    assert "restart 1" in one.log()


@pytest.mark.long
def test_a_requeued_job_counts_its_restarts(service, alone):
    one = service("--nodes", 1, "--ranks", 1, "--time", 60, "--no-successor")
    one.wait_ready()
    client = Patient(one, "requeued")
    one.lab.run("scontrol", "requeue", one.job)
    one.lab.wait_for(lambda: one.lab.job_state(one.job) == "PENDING", 60, "requeue")
    one.lab.run("scontrol", "update", f"JobId={one.job}", "StartTime=now", check=False)
    one.wait_ready(timeout=300)
    assert client.result() == alone[400]
    assert "restart 1" in one.log()


@pytest.mark.long
@pytest.mark.parametrize("how", ["state=down", "slurmd"])
def test_a_node_goes_down_and_the_replica_goes_on_with_fewer(service, alone, how):
    one = service("--nodes", 2, "--ranks", 2, "--time", 60, "--no-successor", "--sbatch", "--nodelist=n1,n2")
    one.wait_ready()
    lab = one.lab
    client = Patient(one, "node")
    try:
        if how == "slurmd":
            lab.kill_node("n2")
        lab.run("scontrol", "update", "NodeName=n2", "State=DOWN", "Reason=test")
        began = time.monotonic()
        for pid in one.processes("worker"):  # What a node that is cut off does by its lease, a test does at once.
            if how == "slurmd":
                os.kill(pid, signal.SIGKILL)
        assert client.result(timeout=240) == alone[400]
        one.wait_ready(timeout=240)
        print(f"{how}: ready again after {time.monotonic() - began:.1f} s")
    finally:
        if how == "slurmd":
            lab.start_node("n2")
        lab.run("scontrol", "update", "NodeName=n2", "State=RESUME", check=False)


@pytest.mark.long
def test_a_wrong_model_is_held_with_the_reason(service, tmp_path):
    (tmp_path / "none").mkdir()
    one = service("--nodes", 1, "--ranks", 1, "--time", 5, submit=False, site=SITE)
    one.words[2] = tmp_path / "none"
    one.job = one.submit()
    one.lab.wait_for(lambda: "checks failed" in one.log(), 60, "the reason")
    assert "manifest" in one.log()


@pytest.fixture
def small_scratch(tmp_path):
    """A file system of 32 MiB."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=32m", "lockstep-test", folder]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no mount here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder):
    with open(folder / "full", "wb") as out:
        try:
            while True:
                out.write(bytes(1 << 20))
                out.flush()
        except OSError:
            pass


@pytest.mark.long
def test_a_full_scratch_directory_ends_nothing_and_lets_nothing_start(service, alone, small_scratch):
    site = SITE + f'scratch = "{small_scratch}"\n'
    one = service("--nodes", 1, "--ranks", 2, "--time", 20, "--no-successor", site=site)
    one.wait_ready()
    client = Patient(one, "scratch")
    fill(small_scratch)
    assert client.result() == alone[400]
    assert Patient(one, "scratch-again", tokens=16).result() == alone[16]
    one.end()
    one.job = one.submit()
    one.lab.wait_for(lambda: "checks failed" in one.log(), 60, "the reason")
    assert f"can be written in {small_scratch}" in one.log() and "site's file: scratch" in one.log()
    held = ("PENDING", "SPECIAL_EXIT", "REQUEUE_HOLD")  # With this, `scontrol release` starts it again.
    one.lab.wait_for(lambda: one.lab.job_state(one.job) in held, 60, "a job on hold")
    (small_scratch / "full").unlink()
    one.lab.run("scontrol", "release", one.job)
    one.lab.run("scontrol", "update", f"JobId={one.job}", "StartTime=now", check=False)
    one.wait_ready(timeout=240)
    assert Patient(one, "scratch", tokens=400).result() == alone[400]

"""`lockstep submit` on three nodes: the endpoint answers with the digests of `lockstep run`, whatever dies."""
import json
import os
import signal
import stat
import threading
import time
from pathlib import Path

import pytest

from conftest import run_alone
from support import lockstep

PROMPT = [5, 6, 7]


def request(max_tokens, **more):
    return {"model": "tiny", "prompt": PROMPT, "max_tokens": max_tokens, "temperature": 0, "ignore_eos": True,
            "lockstep": {"receipt": True}, **more}


def hashes(answer):
    (one,) = answer["lockstep"]["receipts"]
    return one["output_hash"], one["trace_root"]


@pytest.fixture(scope="module")
def alone(model):
    """{tokens: hashes of one undisturbed rank}"""
    found = {}
    for tokens in (16, 400):
        got = run_alone(model, PROMPT, tokens, ignore_eos=True)
        found[tokens] = got["output_hash"], got["trace_root"]
    return found


class Patient(threading.Thread):
    """Asks for one answer with an Idempotency-Key until it has it."""

    def __init__(self, service, key, tokens=400, job=None):
        super().__init__(daemon=True)
        self.service, self.key, self.tokens, self.job = service, key, tokens, job
        self.answer, self.ended = None, threading.Event()
        self.start()

    def run(self):
        while not self.ended.is_set():
            try:
                self.answer = self.service.ask("/v1/completions", request(self.tokens), job=self.job, timeout=90,
                                               headers={"Idempotency-Key": f"{self.key}"})
                return
            except (OSError, ConnectionError, json.JSONDecodeError):
                time.sleep(0.2)

    def result(self, timeout=120):
        self.join(timeout)
        self.ended.set()
        assert self.answer is not None, self.service.log()
        return hashes(self.answer)


def test_one_replica_over_three_nodes_and_two_replicas_answer_as_one_rank(service, alone):
    wide = service("--nodes", 3, "--ranks", 3, "--time", 10)
    wide.wait_ready()
    status = wide.ask("/v1/lockstep/status")
    assert [replica["state"] for replica in status["replicas"]] == ["ready"]
    assert len(wide.processes("worker")) == 3
    assert hashes(wide.ask("/v1/completions", request(16))) == alone[16]
    secret = Path(wide.registration()["key_file"])
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    key = secret.read_text().strip()
    for pid, words in wide.lab.processes().items():  # Nothing secret in argv or environment.
        assert not any(key in word for word in words)
        try:
            assert key.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
    wide.end()
    both = service("--nodes", 3, "--ranks", "2,1", "--time", 10)
    both.wait_ready(replicas=2)
    answers = [Patient(both, i, tokens=16) for i in range(6)]
    assert {answer.result() for answer in answers} == {alone[16]}


def test_the_tunnel_leads_to_the_gateway(service, alone):
    import subprocess
    import urllib.request
    one = service("--nodes", 1, "--ranks", 1, "--time", 10)
    one.wait_ready()
    words = [lockstep.BINARY, "tunnel", one.job, "--port", 0]
    tunnel = subprocess.Popen(list(map(str, words)), env={**one.lab.env, **one.env}, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    try:
        url = tunnel.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        asked = urllib.request.Request(url + "/v1/completions", data=json.dumps(request(16)).encode(), headers={
            "Content-Type": "application/json",
            "Authorization": "Bearer " + Path(one.registration()["key_file"]).read_text().strip()})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            assert hashes(json.loads(answer.read())) == alone[16]
    finally:
        tunnel.terminate()
        assert tunnel.wait(10) == 0
        tunnel.stdout.close()


def test_two_jobs_on_one_node_have_ports_of_their_own(service, alone):
    first = service("--nodes", 1, "--ranks", 1, "--time", 10, "--sbatch", "--nodelist=n2")
    second = service("--nodes", 1, "--ranks", 1, "--time", 10, "--sbatch", "--nodelist=n2")
    for one in (first, second):
        one.wait_ready()
        assert hashes(one.ask("/v1/completions", request(16))) == alone[16]
    assert first.registration()["url"] != second.registration()["url"]


def test_a_stale_lease_in_the_registry_is_refused(service):
    one = service("--nodes", 1, "--ranks", 1, "--time", 10)
    one.wait_ready()
    at = one.state / "endpoint.json"
    stale = {**one.registration(), "expires_ms": int(time.time() * 1000) - 5000}
    one.end()
    at.write_text(json.dumps(stale))
    refused = one.lockstep("tunnel", one.job, "--show", check=False)
    assert refused.returncode == lockstep.UNAVAILABLE and "ran out" in refused.stderr
    one.job = one.submit()  # The next job takes the directory all the same.
    one.wait_ready()
    assert one.registration()["job"] == one.job


def kill_rank(service, which):
    """SIGKILL for the leader (0) or a follower (-1) of the replica."""
    ranks = sorted(service.processes("worker"), key=lambda pid: int(environ(pid).get("PMIX_RANK", 0)))
    os.kill(ranks[which], signal.SIGKILL)


def environ(pid):
    words = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def stop_rank(service):
    (pid, *_) = [pid for pid in service.processes("worker") if environ(pid).get("PMIX_RANK") == "1"]
    os.kill(pid, signal.SIGSTOP)
    time.sleep(10)
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:  # Its step was ended.
        pass


FAULTS = {
    "a follower is killed": lambda service: kill_rank(service, -1),
    "the leader is killed": lambda service: kill_rank(service, 0),
    "the gateway's step is killed": lambda service: os.kill(service.processes("serve")[0], signal.SIGKILL),
    "a rank is stopped": stop_rank,
}


def test_what_is_accepted_survives_what_dies(service, alone):
    one = service("--nodes", 2, "--ranks", 2, "--time", 20)
    one.wait_ready()
    for number, (fault, strike) in enumerate(FAULTS.items()):
        before = one.ask("/v1/lockstep/status")["replicas"][0]["epoch"]
        clients = [Patient(one, f"{number}-{i}") for i in range(12)]
        one.lab.wait_for(lambda: one.ask("/v1/lockstep/status")["running"] > 0, 60, "requests that run")
        began = time.monotonic()
        strike(one)
        one.wait_ready(but=before)
        recovered = time.monotonic() - began
        assert {client.result() for client in clients} == {alone[400]}, fault
        print(f"{fault}: ready again after {recovered:.1f} s")
        assert recovered < 60
        # Asked again, the same answer: it was given once.
        assert Patient(one, f"{number}-0").result() == alone[400]

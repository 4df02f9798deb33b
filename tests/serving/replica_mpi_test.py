"""Real replicas under mpirun, and a gateway that does what the test says: the answers are those of `run`, deaths are
seen at once, nothing is left behind."""

import os
import signal
import stat
import statistics
import time

import pytest

from support import lockstep
from support.lockstep import generate
from support.replica import Replica, gone

PROMPT = [504, 3575, 282, 4649, 314]
SAMPLED = dict(max_tokens=24, seed=7, temperature=0.75, ignore_eos=True)
OPTIONS = ("--ctx-size", 1024, "--threads", 1, "--kv-blocks", 256)


@pytest.fixture(scope="module")
def undisturbed():
    got = generate(lockstep.smollm2(), prompt_ids=PROMPT, ranks=1, **SAMPLED)
    return [dict(token=t, digest=d) for t, d in zip(got["token_ids"], got["token_digests"])]


def plain(tokens):
    return [dict(token=t["token"], digest=t["digest"]) for t in tokens]


@pytest.mark.parametrize("ranks,mpi", [(2, True), (1, False), (2, False)])
def test_a_replica_answers_as_run_does_and_drains(tmp_path, undisturbed, ranks, mpi):
    with Replica(tmp_path, *OPTIONS, ranks=ranks, mpi=mpi) as replica:
        hello = replica.wait("hello")
        assert hello["watched"] == ""
        assert len(hello["hello"]) == ranks
        replica.tell(assign=dict(choice=0, prompt=PROMPT, **SAMPLED))
        tokens, end = replica.answer(0)
        assert plain(tokens) == undisturbed
        assert end["error"] == "" and end["num_tokens"] == 24 and not end["stop"]
        replica.tell(drain=True)
        _, death = replica.wait_for_each("drained", "death")
        assert "status 0" in death["death"] or "has ended" in death["death"]
        for pid in hello["hello"]:
            assert gone(pid)
    assert not [p for p in tmp_path.iterdir()]


def test_an_answer_goes_on_behind_what_was_delivered(tmp_path, undisturbed):
    with Replica(tmp_path, *OPTIONS, mpi=False, ranks=1) as replica:
        replica.wait("hello")
        for choice, had in enumerate((0, 1, 11, 23)):
            replica.tell(assign=dict(choice=choice, prompt=PROMPT, delivered=undisturbed[:had], **SAMPLED))
            tokens, end = replica.answer(choice)
            assert plain(tokens) == undisturbed[had:], had
            assert end["num_tokens"] == 24


def test_a_new_generation_drops_what_ran(tmp_path, undisturbed):
    with Replica(tmp_path, *OPTIONS, mpi=False, ranks=1) as replica:
        replica.wait("hello")
        replica.tell(assign=dict(choice=0, prompt=PROMPT, **{**SAMPLED, "max_tokens": 500}))
        replica.answer(0, tokens=3)
        replica.tell(welcome=9)
        replica.wait("beat", where=lambda e: e["beat"] == 9 and e["running"] == 0)
        replica.tell(assign=dict(choice=1, prompt=PROMPT, **SAMPLED))
        tokens, _ = replica.answer(1)
        assert plain(tokens) == undisturbed


def test_what_cannot_be_computed_ends_alone(tmp_path, undisturbed):
    with Replica(tmp_path, *OPTIONS, mpi=False, ranks=1) as replica:
        replica.wait("hello")
        replica.tell(assign=dict(choice=0, prompt=[10**6], **SAMPLED))
        _, end = replica.answer(0)
        assert "1000000" in end["error"]
        replica.tell(assign=dict(choice=1, prompt=PROMPT, **{**SAMPLED, "max_tokens": 500}))
        replica.tell(assign=dict(choice=2, prompt=PROMPT, **SAMPLED))
        replica.tell(cancel=1)
        tokens, _ = replica.answer(2)
        assert plain(tokens) == undisturbed
        replica.wait("beat", where=lambda e: e["running"] == 0)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_is_seen_and_takes_the_replica_along(tmp_path, victim):
    before = set(os.listdir("/dev/shm"))
    with Replica(tmp_path, *OPTIONS, ranks=2) as replica:
        pids = replica.wait("hello")["hello"]
        replica.tell(assign=dict(choice=0, prompt=PROMPT, **{**SAMPLED, "max_tokens": 500}))
        replica.answer(0, tokens=2)
        killed = time.monotonic()
        os.kill(pids[victim], signal.SIGKILL)
        death = replica.wait("death", timeout=5)
        seen = time.monotonic() - killed
        print(f"\ndeath of rank {victim} seen after {seen * 1000:.0f} ms: {death['death']}")
        assert seen < 4 * 0.25
        replica.tell(kill=True)
        assert replica.wait("killed")["killed"]
        for pid in pids:
            assert gone(pid)
    left = {name for name in set(os.listdir("/dev/shm")) - before if "vader" in name or "osc" in name}
    assert not left
    assert not list(tmp_path.iterdir())


def test_a_killed_launcher_takes_its_ranks_along(tmp_path):
    with Replica(tmp_path, *OPTIONS, ranks=2) as replica:
        pids = replica.wait("hello")["hello"]
        launcher = int(next(tmp_path.glob("*/owner")).read_text().split()[0])
        os.kill(launcher, signal.SIGKILL)
        replica.wait("death", timeout=5)
        for pid in pids:
            assert gone(pid, 3)


def test_a_stopped_rank_shows_in_the_age_of_its_step(tmp_path):
    with Replica(tmp_path, *OPTIONS, ranks=2) as replica:
        pids = replica.wait("hello")["hello"]
        replica.tell(assign=dict(choice=0, prompt=PROMPT, **{**SAMPLED, "max_tokens": 500}))
        replica.answer(0, tokens=2)
        os.kill(pids[1], signal.SIGSTOP)
        replica.wait("beat", timeout=10, where=lambda e: e["step_age_ms"] >= 500)
        os.kill(pids[1], signal.SIGCONT)
        replica.wait("beat", timeout=10, where=lambda e: e["step_age_ms"] < 500)
        tokens, _ = replica.answer(0, tokens=5)
        assert tokens


@pytest.mark.parametrize("mpi", [True, False])
def test_a_replica_outlives_its_gateway_by_one_lease(tmp_path, mpi):
    with Replica(tmp_path, *OPTIONS, ranks=1, mpi=mpi, lease_ms=1500) as replica:
        pids = replica.wait("hello")["hello"]
        replica.wait("beat")
        replica.process.kill()
        killed = time.monotonic()
        replica.process.wait()
        assert gone(pids[0], 10)
        took = time.monotonic() - killed
        print(f"\nended {took:.2f} s after its gateway, lease 1.5 s")
        assert 1.0 < took < 4 * 1.5


def test_a_stuck_replica_ends_without_a_gateway_too(tmp_path):
    with Replica(tmp_path, *OPTIONS, ranks=2, lease_ms=1500) as replica:
        pids = replica.wait("hello")["hello"]
        replica.tell(assign=dict(choice=0, prompt=PROMPT, **{**SAMPLED, "max_tokens": 500}))
        replica.answer(0, tokens=2)
        os.kill(pids[1], signal.SIGSTOP)
        replica.tell(leases=False)
        try:
            death = replica.wait("death", timeout=15)
            assert str(pids[0]) in death["death"] or "status" in death["death"]
        finally:
            os.kill(pids[1], signal.SIGCONT)
        replica.tell(kill=True)
        assert replica.wait("killed")["killed"]


def test_a_signal_hands_back_what_runs(tmp_path):
    with Replica(tmp_path, *OPTIONS, ranks=2) as replica:
        pids = replica.wait("hello")["hello"]
        replica.tell(assign=dict(choice=0, prompt=PROMPT, **{**SAMPLED, "max_tokens": 500}))
        replica.answer(0, tokens=2)
        os.kill(pids[0], signal.SIGUSR1)
        replica.wait_for_each("drained", "death", timeout=5)


def test_detection_of_a_crash(tmp_path):
    """Five trials; the bound is asserted at four times its value."""
    took = []
    for _ in range(5):
        with Replica(tmp_path, *OPTIONS, ranks=2) as replica:
            pids = replica.wait("hello")["hello"]
            began = time.monotonic()
            os.kill(pids[1], signal.SIGKILL)
            replica.wait("death", timeout=5)
            took.append(time.monotonic() - began)
    print(f"\ncrash seen: median {statistics.median(took) * 1000:.1f} ms, worst {max(took) * 1000:.1f} ms")
    assert max(took) < 4 * 0.25


def key_file(tmp_path, mode=0o600, text=None):
    path = tmp_path / "key"
    path.write_text(text or f"lockstep-replica-key 1\nsecret {'11' * 32}\ngateway {'22' * 32}\n")
    path.chmod(mode)
    return path


def worker(*more, **options):
    return lockstep.run("worker", "--model", lockstep.smollm2(), *map(str, OPTIONS), *more, **options)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path, mode):
    path = key_file(tmp_path, mode)
    done = worker("--gateway", "tcp://127.0.0.1:9", "--key-file", path)
    assert done.returncode == 77
    assert str(path) in done.stderr and "chmod 600" in done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_wrong_command_line_is_refused(tmp_path):
    path = key_file(tmp_path)
    for options in (["--key-file", path], ["--gateway", "tcp://127.0.0.1:9"]):
        assert worker(*options).returncode == lockstep.USAGE
    for endpoint in ("tcp://*:9", "127.0.0.1:9", "ipc://x"):
        done = worker("--gateway", endpoint, "--key-file", path)
        assert done.returncode == lockstep.USAGE and endpoint in done.stderr
    bad = tmp_path / "bad"
    bad.write_text("nonsense")
    bad.chmod(0o600)
    done = worker("--gateway", "tcp://127.0.0.1:9", "--key-file", bad)
    assert done.returncode == lockstep.BAD_DATA and "nonsense" not in done.stderr


def test_a_worker_without_a_gateway_gives_up(tmp_path):
    began = time.monotonic()
    done = worker("--gateway", "tcp://127.0.0.1:9", "--key-file", key_file(tmp_path), "--patience", "1")
    assert done.returncode == lockstep.TRY_AGAIN
    assert "127.0.0.1:9" in done.stderr
    assert time.monotonic() - began < 30

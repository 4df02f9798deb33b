"""How soon a rank that dies or hangs is noticed, and the service is back. Bounds are asserted at four times what is
promised; medians and the 99th percentiles are printed."""
import os
import signal
import statistics
import time

import pytest

from support import lockstep
from support.gateway import Gateway
from support.patient_client import Answers, essence
from support.random_model import Case

CRASH_S, HANG_S, BACK_S = 0.25, 5.0, 10.0
SLACK = 4
A_GATEWAY = 3  # Trials before it is started anew: the wait before a restart doubles every time.
DAY_S = 86_400


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    case = Case.behaving()
    case.gguf().write(folder / "tiny.gguf")
    return lockstep.shard(folder / "tiny.gguf", folder / "store")


def logged_at(gateway, event, after):
    """The first moment behind `after` (seconds of Unix time) at which the event was logged; None: not yet."""
    for line in gateway.log.read_text(errors="replace").splitlines():
        words = line.split()
        if len(words) < 3 or event not in words[2:4]:
            continue
        hours, minutes, seconds = words[1].split(":")
        # The log says the time of the day.
        past = (int(hours) * 3600 + int(minutes) * 60 + float(seconds) - after) % DAY_S
        if past < DAY_S / 2:
            return after + past
    return None


def wait_logged(gateway, event, after, timeout):
    end = time.monotonic() + timeout
    while (at := logged_at(gateway, event, after)) is None:
        assert time.monotonic() < end, f"no {event} in {timeout} s\n{gateway.logged()}"
        time.sleep(0.01)
    return at


def measure(folder, model, signal_number, trials):
    """[(seconds until the fence, seconds until a replica is ready again)] of a follower that gets a signal."""
    body = {"model": "smollm2", "prompt": [5, 6, 7], "max_tokens": 100, "temperature": 0, "ignore_eos": True,
            "lockstep": {"receipt": True}}
    gateway = Gateway(folder / "state", "--ctx-size", 512, model=model, ranks=2)
    client = None
    times = []
    try:
        gateway.wait_ready()
        expected = essence(gateway.ask("/v1/completions", body))
        client = Answers(lambda: gateway, 1, [(body, expected)])
        client.start()
        for _ in range(trials):
            gateway.wait_ready(timeout=120)
            answers = len(client.done)
            while len(client.done) == answers:  # It computes.
                assert client.error is None, client.error
                time.sleep(0.005)
            (follower,) = [pid for pid, _, rank in gateway.workers() if rank == 1]
            time.sleep(0.002)  # The log has milliseconds.
            at = time.time()
            os.kill(follower, signal_number)
            fenced = wait_logged(gateway, "replica_fenced", at - 0.001, 60)
            ready = wait_logged(gateway, "replica_ready", fenced, 120)
            times.append((fenced - at, ready - at))
        client.finish(60)
        assert client.error is None, client.error
        assert gateway.stop() == 0
    finally:
        if client is not None:
            client.stopping.set()
        gateway.close()
    return times


def measure_all(folder, model, signal_number, trials):
    times = []
    while len(times) < trials:
        turn = folder / str(len(times))
        turn.mkdir()
        times += measure(turn, model, signal_number, min(A_GATEWAY, trials - len(times)))
    return times


def report(what, promised, times):
    seen, back = sorted(t[0] for t in times), sorted(t[1] for t in times)
    p99 = -(-99 * len(times) // 100) - 1
    print(f"{what}: {len(times)} trials, noticed median {statistics.median(seen):.3f} s, p99 {seen[p99]:.3f} s "
          f"(promised {promised} s); ready again median {statistics.median(back):.2f} s, p99 {back[p99]:.2f} s "
          f"(promised {BACK_S:.0f} s)")
    assert seen[p99] < SLACK * promised
    assert back[p99] < SLACK * BACK_S


KINDS = [("crash", signal.SIGKILL, CRASH_S), ("hang", signal.SIGSTOP, HANG_S)]


@pytest.mark.parametrize(("what", "number", "promised"), KINDS, ids=[kind[0] for kind in KINDS])
def test_a_lost_rank_is_noticed(tmp_path, model, what, number, promised):
    report(what, promised, measure_all(tmp_path, model, number, 5))


@pytest.mark.long
@pytest.mark.parametrize(("what", "number", "promised"), KINDS, ids=[kind[0] for kind in KINDS])
def test_lost_ranks_are_noticed_100_times(tmp_path, model, what, number, promised):
    report(what, promised, measure_all(tmp_path, model, number, 100))

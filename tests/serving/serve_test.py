"""The whole service: real replicas under mpirun, killed and stopped; the answers are those of one process."""
import os
import random
import signal
import threading
import time

import pytest

from support.gateway import Gateway, run_alone

VOCABULARY = 49152


@pytest.fixture
def serve(tmp_path):
    started = []

    def start(*options, **more):
        gateway = Gateway(tmp_path / f"state{len(started)}", *options, **more)
        started.append(gateway)
        return gateway

    yield start
    for gateway in started:
        gateway.close()


def ids(seed, count):
    draw = random.Random(seed)
    return [draw.randrange(100, VOCABULARY) for _ in range(count)]


def request(seed, prompt_tokens, max_tokens, **more):
    return {"model": "smollm2", "prompt": ids(seed, prompt_tokens), "max_tokens": max_tokens, "ignore_eos": True,
            "temperature": 0, "lockstep": {"receipt": True}, **more}


def receipt(answer):
    """What the answer claims of itself, in the words of `run --json`."""
    (one,) = answer["lockstep"]["receipts"]
    return {key: one[key] for key in ("output_hash", "trace_root")}


def expected(body):
    alone = run_alone(body["prompt"], body["max_tokens"], ignore_eos=True)
    return {key: alone[key] for key in ("output_hash", "trace_root")}, alone["text"]


def test_an_answer_equals_that_of_one_process(serve):
    gateway = serve(ranks=2)
    gateway.wait_ready()
    body = request(1, 20, 12)
    answer = gateway.ask("/v1/completions", body)
    hashes, text = expected(body)
    assert receipt(answer) == hashes
    assert answer["choices"][0]["text"] == text
    assert answer["usage"] == {**answer["usage"], "prompt_tokens": 20, "completion_tokens": 12}
    assert gateway.stop() == 0


class Client(threading.Thread):
    """Streams one answer and keeps what it saw."""

    def __init__(self, gateway, body):
        super().__init__(daemon=True)
        self.gateway, self.body = gateway, body
        self.text, self.receipts, self.error, self.seen = "", [], None, 0
        self.start()

    def run(self):
        try:
            for _, data in self.gateway.events(self.body, timeout=300):
                self.seen += 1
                for choice in data.get("choices", []):
                    self.text += choice["text"]
                self.receipts += data.get("lockstep", {}).get("receipts", [])
        except Exception as error:  # The test says what it was.
            self.error = error


def kill_and_stop(gateway, clients):
    """Kills a follower of one replica, stops a rank of the other for a while, then kills a leader."""
    def progress():
        return sum(client.seen for client in clients)

    def wait_for(more):
        start, end = progress(), time.monotonic() + 60
        while progress() < start + more and any(c.is_alive() for c in clients) and time.monotonic() < end:
            time.sleep(0.01)

    wait_for(30)
    followers = [pid for pid, _, rank in gateway.workers() if rank > 0]
    os.kill(followers[0], signal.SIGKILL)
    wait_for(60)
    leaders = [pid for pid, _, rank in gateway.workers() if rank == 0]
    os.kill(leaders[-1], signal.SIGKILL)
    wait_for(60)
    stopped = [pid for pid, _, rank in gateway.workers()][-1]
    os.kill(stopped, signal.SIGSTOP)
    time.sleep(6)
    try:
        os.kill(stopped, signal.SIGCONT)
    except ProcessLookupError:
        pass


def run_under_load(serve, count, seed):
    gateway = serve("--kv-blocks", 512, "--chunk", 64, replicas=2, ranks=2)
    gateway.wait_ready(2)
    draw = random.Random(seed)
    shared = ids(seed, 96)
    bodies = []
    for i in range(count):
        body = request(seed * 1000 + i, draw.randrange(16, 300), draw.randrange(16, 64))
        if i % 3 == 0:
            body["prompt"] = shared + body["prompt"]
        bodies.append(body)
    clients = [Client(gateway, body) for body in bodies]
    kill_and_stop(gateway, clients)
    for client in clients:
        client.join(300)
    status = gateway.status()
    for client in clients:
        assert client.error is None, f"{client.error}\n{gateway.logged()}"
        hashes, text = expected(client.body)
        assert client.text == text
        assert [{key: one[key] for key in hashes} for one in client.receipts] == [hashes]
    assert gateway.stop() == 0
    return status


def test_answers_go_on_through_kills_and_stops(serve):
    status = run_under_load(serve, 24, seed=7)
    assert status["moved_total"] >= 2

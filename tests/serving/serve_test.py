"""The whole service: real replicas under mpirun, killed and stopped; the answers are those of one process."""
import os
import random
import signal
import threading
import time
from math import ceil

import pytest

from support.gateway import run_alone

VOCABULARY = 49152


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

    def __init__(self, gateway, body, timeout):
        super().__init__(daemon=True)
        self.gateway, self.body, self.timeout = gateway, body, timeout
        self.text, self.receipts, self.error, self.seen = "", [], None, 0
        self.start()

    def run(self):
        try:
            for _, data in self.gateway.events(self.body, timeout=self.timeout):
                self.seen += 1
                for choice in data.get("choices", []):
                    self.text += choice["text"]
                self.receipts += data.get("lockstep", {}).get("receipts", [])
        except Exception as error:  # The test says what it was.
            self.error = error


class Watcher(threading.Thread):
    """Adds up what replicas count; a process that was started again counts from 0."""

    KEYS = ("preemptions", "cached_tokens")

    def __init__(self, gateway):
        super().__init__(daemon=True)
        self.gateway, self.before, self.last = gateway, dict.fromkeys(self.KEYS, 0), {}
        self.ended = threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.05):
            for replica in self.gateway.status()["replicas"]:
                now = {key: replica[key] for key in self.KEYS}
                last = self.last.get(replica["name"], now)
                if any(now[key] < last[key] for key in self.KEYS):
                    self.before = {key: self.before[key] + last[key] for key in self.KEYS}
                self.last[replica["name"]] = now

    def stop(self):
        self.ended.set()
        self.join()
        return {key: self.before[key] + sum(last[key] for last in self.last.values()) for key in self.KEYS}


def disturb(gateway, clients, draw, stopped_s, timeout):
    """`kill -9` of a follower, then of a leader, and a rank stopped for a while, at drawn points of the answers when
    every replica has something to lose."""
    total = sum(client.body["max_tokens"] for client in clients)
    at = sorted(draw.uniform(0.1, 0.7) for _ in range(3))

    def wait_until(condition):
        end = time.monotonic() + timeout
        while not condition() and any(c.is_alive() for c in clients):
            assert time.monotonic() < end, gateway.logged()
            time.sleep(0.01)

    def wait_for(share):
        wait_until(lambda: sum(c.seen for c in clients) >= share * total)

    def all_have_work():
        """A replica that has just been started again has no answer that could move."""
        return all(one["state"] == "ready" and one["running"] >= 2 for one in gateway.status()["replicas"])

    def pids(chosen):
        wait_until(all_have_work)
        found = [pid for pid, _, rank in gateway.workers() if chosen(rank)]
        return draw.sample(found, min(1, len(found)))

    wait_for(at[0])
    for pid in pids(lambda rank: rank > 0):
        os.kill(pid, signal.SIGKILL)
    wait_for(at[1])
    for pid in pids(lambda rank: rank == 0):
        os.kill(pid, signal.SIGKILL)
    wait_for(at[2])
    for pid in pids(lambda rank: True):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(stopped_s)
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:  # Fenced meanwhile.
            pass


class Load:
    """Requests with the answers that one undisturbed process gives to each alone."""

    def __init__(self, count, longest_prompt, longest_answer, seed):
        draw = random.Random(seed)
        shared = ids(seed, 96)
        self.bodies, self.expected = [], []
        for i in range(count):
            prompt = draw.randrange(16, longest_prompt)
            body = request(seed * 1000 + i, prompt, draw.randrange(16, longest_answer))
            if i % 3 == 0:
                body["prompt"] = (shared + body["prompt"])[:max(prompt, 112)]
            self.bodies.append(body)

    def check(self, clients):
        if not self.expected:
            self.expected = [expected(body) for body in self.bodies]
        for client, (hashes, text) in zip(clients, self.expected):
            assert client.error is None, f"{client.error}\n{client.gateway.logged()}"
            assert client.text == text
            assert [{key: one[key] for key in hashes} for one in client.receipts] == [hashes]


def run_disturbed(serve, load, seed, *, stopped_s, at_least, pool=2.5, timeout=300):
    """`pool` is in requests, the longest of all: so small that sequences take each other's blocks."""
    longest = max(len(body["prompt"]) + body["max_tokens"] for body in load.bodies)
    pool = ceil(pool * longest / 16)
    gateway = serve("--kv-blocks", pool, "--ctx-size", longest, "--chunk", 64, replicas=2, ranks=2)
    gateway.wait_ready(2)
    watcher = Watcher(gateway)
    clients = [Client(gateway, body, timeout) for body in load.bodies]
    disturb(gateway, clients, random.Random(seed), stopped_s, timeout)
    for client in clients:
        client.join(timeout)
    counted = watcher.stop()
    counts = {"preemptions": counted["preemptions"], "prefix hits": counted["cached_tokens"] // 16,
              "moved": gateway.status()["moved_total"]}
    print(f"seed {seed}: {len(clients)} requests, {counts}")
    load.check(clients)
    assert gateway.stop() == 0
    for what, least in at_least.items():
        assert counts[what] >= least, counts


@pytest.fixture(scope="module")
def small_load():
    return Load(24, longest_prompt=300, longest_answer=64, seed=7)


# A prefix hit is a block of 16 tokens that was not computed again.
TWO_OF_EACH = {"preemptions": 2, "prefix hits": 2, "moved": 2}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_answers_go_on_through_kills_and_stops(serve, small_load, seed):
    run_disturbed(serve, small_load, seed, stopped_s=6, at_least=TWO_OF_EACH)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 150))
def test_answers_go_on_whenever_it_happens(serve, small_load, seed):
    run_disturbed(serve, small_load, seed, stopped_s=10, at_least={})


@pytest.mark.long
def test_200_answers_go_on_through_kills_and_stops(serve):
    load = Load(200, longest_prompt=1500, longest_answer=256, seed=8)
    at_least = {"preemptions": 20, "prefix hits": 20, "moved": 10}
    run_disturbed(serve, load, 4, stopped_s=10, at_least=at_least, pool=5, timeout=3000)

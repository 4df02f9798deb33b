"""The gateway is killed at every named crash point, under load, and started again on the same state: no accepted
request is lost, none is answered twice, every answer is the undisturbed one, and the next gateway serves soon.

One state directory and one set of clients for all points: a gateway lives until it comes to its point, and the next one
finds what it left.
"""
import itertools
import os
import random
import re
import signal
import sqlite3
import statistics
import subprocess
import threading
import time
from pathlib import Path

import pytest

from support import lockstep
from support.gateway import BINARY, Gateway
from support.patient_client import Answers, Batches, Jobs, Streams, essence
from support.random_model import Case

SOURCE = Path(os.environ["LOCKSTEP_SOURCE_DIR"])
CRASH_BINARY = Path(os.environ.get("LOCKSTEP_CRASH_BINARY") or BINARY.parent / "tests/lockstep_crash")
FULL_DISK = Path(os.environ.get("LOCKSTEP_FULL_DISK") or BINARY.parent / "tests/full_disk.so")
POINTS = re.findall(r'^    "((?:store|gateway)\.[a-z_]+)",', (SOURCE / "base/crash_point.h").read_text(), re.MULTILINE)

RESTART_S = 3  # Promised; asserted at four times that, as all such bounds.
HIT_S = 60  # A point that is not passed for this long is not reachable.
# Passed once at most in the life of one gateway, or only with what brings it about below.
ONCE = {"store.migration", "store.begin_epoch", "store.after_begin_epoch", "store.checkpoint", "store.after_checkpoint",
        "store.retention", "store.backup", "store.backup_before_name", "store.reserve_given_up", "store.reserve_made",
        "gateway.recover", "gateway.replica_adopted", "gateway.replica_key", "gateway.replica_started",
        "gateway.listen", "gateway.loaded", "gateway.hello", "gateway.welcomed", "gateway.fence", "gateway.fenced",
        "gateway.drain", "gateway.drained", "gateway.keys_read",
        *(point for point in POINTS if point.startswith(("file.", "batch.")))}


def tiny_model(folder):
    """A store whose tokens take no time."""
    case = Case.behaving()
    case.context = 1024
    case.gguf().write(folder / "tiny.gguf")
    return lockstep.shard(folder / "tiny.gguf", folder / "store")


def requests():
    """Short and long ones, greedy and sampled, of one choice and of more."""
    draw = random.Random(5)
    for n, temperature, tokens in ((1, 0, 160), (2, 0.8, 90), (1, 1.0, 24), (3, 0.7, 40), (2, 0, 200)):
        yield {"model": "smollm2", "prompt": [draw.randrange(2, 300) for _ in range(draw.randrange(8, 60))], "n": n,
               "temperature": temperature, "seed": 7, "max_tokens": tokens, "ignore_eos": True,
               "lockstep": {"receipt": True}}


class Service:
    """A gateway that dies where it is told, and its clients."""

    def __init__(self, folder):
        self.full = folder / "full"
        self.gateway = Gateway(folder / "state", "--ranks-as", "threads", "--kv-blocks", 512,
                               model=tiny_model(folder), binary=CRASH_BINARY, auth=True, start=False,
                               env={"LD_PRELOAD": str(FULL_DISK), "FULL_DISK_WHILE": str(self.full)})
        self.state = self.gateway.state
        self.listening = threading.Event()
        self.restarts, self.gone, self.copies = [], set(), itertools.count()
        self.clients = []

    def begin(self):
        """An undisturbed gateway answers every request once; then clients begin to ask."""
        self.start()
        self.gateway.wait_ready()
        expected = []
        for body in requests():
            expected.append((body, essence(self.gateway.ask("/v1/completions", body))))
        assert self.gateway.stop() == 0
        self.listening.clear()
        kinds = (Answers, Batches, Jobs, Streams, Streams)
        self.clients = [kind(self.wait, seed, expected) for seed, kind in enumerate(kinds)]
        for client in self.clients:
            client.start()

    def wait(self):
        assert self.listening.wait(120), "no gateway for two minutes"
        return self.gateway

    def start(self, crash_at=""):
        began = time.monotonic()
        self.logged_bytes = self.gateway.log.stat().st_size if self.gateway.log.exists() else 0
        self.gateway.start(env={"LOCKSTEP_CRASH_AT": crash_at})
        if self.gateway.url:
            self.restarts.append(time.monotonic() - began)
            self.listening.set()

    def kill_at(self, point, hit=1):
        """What a gateway does with what the one before left, it does at once, and there may have been nothing."""
        tries = 6 if point in BEFORE else 1
        passed = any(self.try_to_kill_at(point, hit, HIT_S / tries) for _ in range(tries))
        assert passed, f"{point} was not passed in {HIT_S} s\n{self.gateway.logged()}"

    def try_to_kill_at(self, point, hit, seconds):
        try:
            BEFORE.get(point, lambda service: None)(self)
            self.start(f"{point}:{hit}")
            BRINGS_ABOUT.get(point, lambda service: None)(self)
            return self.await_kill(point, seconds)
        finally:
            self.listening.clear()
            self.gateway.kill()

    def await_kill(self, point, seconds):
        end = time.monotonic() + seconds
        while self.gateway.process.poll() is None:
            self.check_clients()
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        self.gateway.process.stdout.close()
        assert self.gateway.process.returncode == -signal.SIGKILL, f"{point}\n{self.gateway.logged()}"
        self.full.unlink(missing_ok=True)
        return True

    def check_clients(self):
        for client in self.clients:
            assert client.error is None, f"{client.error}\n{self.gateway.logged()}"

    def finish(self):
        """Lets every client have its last answer."""
        for client in self.clients:
            client.stopping.set()
        for client in self.clients:
            client.finish(60)
        self.check_clients()

    def close(self):
        for client in self.clients:
            client.stopping.set()
        self.listening.set()
        self.gateway.close()

    # What brings a point about that load alone does not.

    def rows(self, statement, *values):
        """Of the database of a gateway that does not run."""
        with sqlite3.connect(self.state / "gateway.sqlite") as database:
            found = database.execute(statement, values).fetchall()
        database.close()
        return found

    def live(self):
        """A gateway that comes to something before it is killed: the next finds answers and a replica."""
        def answers():
            return sum(len(client.done) for client in self.clients)

        self.start()
        self.gateway.wait_ready()
        had, end = answers(), time.monotonic() + HIT_S
        while answers() == had and time.monotonic() < end:
            self.check_clients()
            time.sleep(0.01)
        self.listening.clear()
        self.gateway.kill()

    def age(self):
        """Makes some requests that have ended old."""
        self.live()
        old = [one for client in self.clients for one in client.done if one not in self.gone][:3]
        assert old, "nothing has ended yet"
        self.gone.update(old)
        for one in old:
            self.rows("UPDATE outcomes SET remove_ms = 1 WHERE job = (SELECT job FROM jobs WHERE id = ?)",
                      bytes.fromhex(one))

    def kill_replica(self):
        """As soon as there is one: its death is a fence, and another is started."""
        end = time.monotonic() + HIT_S
        while self.gateway.process.poll() is None and time.monotonic() < end:
            for pid, _, _ in self.gateway.workers():
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def cancel(self):
        """Jobs that are long enough to be cancelled before they end, until this gateway does."""
        process, ask = self.gateway.process, self.clients[0].ask
        body = {"model": "smollm2", "prompt": [5, 6], "n": 64, "max_tokens": 900, "ignore_eos": True}

        def work():
            while process.poll() is None:
                job, _ = ask("/v1/jobs", {"url": "/v1/completions", "body": body})
                ask(f"/v1/jobs/{job['id']}", method="DELETE")

        threading.Thread(target=work, daemon=True).start()

    def back_up(self):
        copy = self.state.with_name(f"copy{next(self.copies)}.sqlite")
        words = [BINARY, "state", "backup", "--state", self.state, "--out", copy]
        threading.Thread(target=subprocess.run, args=(list(map(str, words)),),
                         kwargs={"capture_output": True}, daemon=True).start()

    def fill_disk(self):
        self.full.touch()

    def fill_disk_for_a_while(self):
        self.full.touch()
        end = time.monotonic() + HIT_S
        while b"disk_full" not in self.gateway.log.read_bytes()[self.logged_bytes:] and time.monotonic() < end:
            time.sleep(0.01)
        self.full.unlink()

    def write_much(self):
        """More than the journal holds before it is copied back."""
        body = b'{"url": "/v1/completions", "body": {"model": "smollm2", "prompt": [5], "max_tokens": 1}%s}' % (
            b" " * (6 << 20))
        for _ in range(3):
            threading.Thread(target=self.clients[0].ask, args=("/v1/jobs", body), daemon=True).start()


BEFORE = {  # With no gateway running.
    "store.retention": Service.age,
    "gateway.replica_adopted": Service.live,
    "gateway.loaded": Service.live,
}
BRINGS_ABOUT = {
    "store.checkpoint": Service.write_much,
    "store.after_checkpoint": Service.write_much,
    "store.reserve_given_up": Service.fill_disk,
    "store.reserve_made": Service.fill_disk_for_a_while,
    "gateway.cancel": Service.cancel,
    "gateway.cancelled": Service.cancel,
    "store.backup": Service.back_up,
    "store.backup_before_name": Service.back_up,
    "gateway.fence": Service.kill_replica,
    "gateway.fenced": Service.kill_replica,
    "gateway.replica_key": Service.kill_replica,
    "gateway.replica_started": Service.kill_replica,
    "gateway.drain": lambda s: s.gateway.process.send_signal(signal.SIGTERM),
    "gateway.drained": lambda s: s.gateway.process.send_signal(signal.SIGTERM),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    service = Service(tmp_path_factory.mktemp("crash"))
    try:
        service.begin()
        yield service
    finally:
        service.close()


def test_the_program_that_is_shipped_has_no_crash_points():
    shipped, crashing = BINARY.read_bytes(), CRASH_BINARY.read_bytes()
    assert len(POINTS) >= 30
    for name in [*POINTS, "LOCKSTEP_CRASH_AT"]:
        assert name.encode() in crashing, name
        assert name.encode() not in shipped, name


def test_a_first_start_is_killed_while_it_makes_its_tables(tmp_path):
    gateway = Gateway(tmp_path / "state", "--attach", model=tiny_model(tmp_path), binary=CRASH_BINARY, start=False)
    try:
        for hit in (1, 2):
            gateway.start(env={"LOCKSTEP_CRASH_AT": f"store.migration:{hit}"})
            assert gateway.process.wait(HIT_S) == -signal.SIGKILL
        gateway.start()
        assert gateway.ask("/v1/models")["data"]
    finally:
        gateway.close()


def hit_of(point, turn):
    return 1 if point in ONCE else random.Random(f"{point} {turn}").randrange(1, 6)


@pytest.mark.parametrize("point", [point for point in POINTS if point != "store.migration"])
def test_a_kill_loses_and_doubles_nothing(service, point):
    service.kill_at(point, hit_of(point, 0))


@pytest.mark.long
@pytest.mark.parametrize("turn", range(19))
@pytest.mark.parametrize("point", [point for point in POINTS if point != "store.migration"])
def test_more_kills_lose_and_double_nothing(service, point, turn):
    service.kill_at(point, hit_of(point, turn + 1))


def check_rows(service):
    """What the database says of every request that a client knows of."""
    outcomes = {row[0].hex(): row[1] for row in service.rows(
        "SELECT jobs.id, outcomes.state FROM jobs JOIN outcomes USING (job)")}
    for client in service.clients:
        for one in client.done:
            assert outcomes.get(one) == 1 or one in service.gone, one
        for one in client.cancelled:
            assert outcomes[one] == 3, one
        assert len(client.keys) > 3, "a client that hardly came to anything shows nothing"
    doubled = service.rows("SELECT idempotency_key FROM jobs WHERE idempotency_key <> '' "
                           "GROUP BY tenant, route, idempotency_key HAVING count(*) > 1")
    assert doubled == []
    for one, size in service.rows("SELECT id, bytes FROM files"):
        assert (service.state / "files" / one.hex()).stat().st_size == size
    assert service.rows("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.long
def test_nothing_was_lost_in_all_kills(service):
    test_nothing_was_lost(service)


def test_nothing_was_lost(service):
    service.start()
    service.gateway.wait_ready()
    end = time.monotonic() + HIT_S
    while min(len(client.keys) for client in service.clients) <= 3 and time.monotonic() < end:
        time.sleep(0.05)
    service.finish()
    assert service.gateway.stop() == 0
    check_rows(service)
    seconds = sorted(service.restarts)
    print(f"{len(seconds)} starts: median {statistics.median(seconds):.3f} s, longest {seconds[-1]:.3f} s; "
          f"{sum(len(c.done) for c in service.clients)} answers, "
          f"{sum(len(c.cancelled) for c in service.clients)} cancelled")
    assert seconds[-1] < 4 * RESTART_S


QUEUED = 100_000


def copy_job(database, copies):
    """The one job that waits, many times over; ids grow as the gateway's do."""
    rows = {}
    for table in ("jobs", "waiting"):
        names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        (row,) = database.execute(f"SELECT {', '.join(names)} FROM {table}").fetchall()
        rows[table] = dict(zip(names, row))
    first = rows["jobs"]["job"]
    base = int.from_bytes(rows["jobs"]["id"], "big")
    for table, row in rows.items():
        marks = ", ".join(":" + name for name in row)
        database.executemany(
            f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})",
            ({**row, "job": first + i, "id": (base + i).to_bytes(16, "big")} for i in range(1, copies)))
    database.commit()


def test_a_gateway_with_100000_queued_jobs_serves_soon(tmp_path):
    model = tiny_model(tmp_path)
    body = {"model": "smollm2", "prompt": [5, 6, 7], "max_tokens": 200, "ignore_eos": True}
    job = {"url": "/v1/completions", "body": body}
    before = Gateway(tmp_path / "state", "--attach", model=model)  # No replica: nothing is answered.
    try:
        before.ask("/v1/jobs", job)
    finally:
        before.close()
    with sqlite3.connect(before.state / "gateway.sqlite") as database:
        copy_job(database, QUEUED)
    database.close()
    gateway = Gateway(tmp_path / "state", "--ranks-as", "threads", model=model, start=False)
    try:
        began = time.monotonic()
        gateway.start()
        listening = time.monotonic() - began
        gateway.ask("/v1/jobs", job)
        accepted = time.monotonic() - began
        queued = 0
        while queued == 0 and time.monotonic() < began + 30:  # Until the first report.
            queued = gateway.status()["queued"]
        answer = gateway.ask("/v1/completions", {**body, "max_tokens": 5})
        answered = time.monotonic() - began
    finally:
        gateway.close()
    print(f"{queued} jobs queued: listens after {listening:.2f} s, a job is accepted after {accepted:.2f} s, "
          f"a request answered after {answered:.2f} s")
    assert answer["usage"]["completion_tokens"] == 5
    assert queued > QUEUED * 0.9
    assert accepted < 4 * RESTART_S

"""Drives replica_gateway_tool: one real replica, and a gateway that does what a test says."""

import json
import os
import queue
import subprocess
import threading
import time
from pathlib import Path

from support import lockstep
from support.lockstep import MPI_ENV

TOOL = Path(os.environ.get("LOCKSTEP_REPLICA_TOOL") or lockstep.BINARY.parent / "tests/replica_gateway_tool")


class Replica:
    """A started replica; `events` of the tool in the order in which they came."""

    def __init__(self, runtime, *options, ranks=2, mpi=True, lease_ms=10_000):
        command = [TOOL, lockstep.BINARY, lockstep.smollm2(), str(ranks), "mpi" if mpi else "threads"]
        command += [str(lease_ms), str(runtime), *map(str, options)]
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=lockstep.environment(MPI_ENV),
        )
        self.events = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))

    def tell(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def wait(self, kind, timeout=60, where=lambda event: True):
        """The next event that has the key `kind`; those before it are dropped."""
        end = time.monotonic() + timeout
        while True:
            event = self.events.get(timeout=max(0.001, end - time.monotonic()))
            if kind in event and where(event):
                return event

    def wait_for_each(self, *kinds, timeout=60):
        """The next event of each kind, in whatever order they come."""
        end = time.monotonic() + timeout
        found = {}
        while len(found) < len(kinds):
            event = self.events.get(timeout=max(0.001, end - time.monotonic()))
            for kind in kinds:
                if kind in event:
                    found.setdefault(kind, event)
        return [found[kind] for kind in kinds]

    def answer(self, choice, timeout=60, tokens=None):
        """The next tokens of a choice until its end, or until there are `tokens`; and the end."""
        got, first = [], None
        while True:
            event = self.wait("choice", timeout, lambda e: e["choice"] == choice)
            first = event["first"] if first is None else first
            assert event["first"] == first + len(got), event
            got += event["tokens"]
            if "end" in event or (tokens is not None and len(got) >= tokens):
                return got, event.get("end")

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def gone(pid, timeout=10):
    """Whether the process ends in time."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False

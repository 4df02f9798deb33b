"""How many durable jobs a second a gateway accepts over HTTP from 256 connections: measured and printed with the time
of the disk's sync, and every one of them is on disk."""
import json
import os
import sqlite3
import statistics
import subprocess
import time
from pathlib import Path

import pytest

from support import lockstep
from support.gateway import BINARY, Gateway
from support.random_model import Case

TOOL = Path(os.environ.get("LOCKSTEP_ACCEPT_LOAD") or BINARY.parent / "tests/accept_load_tool")
CONNECTIONS = 256


def sync_ms(folder, count=100):
    """Medians of appending a page to a file and syncing it."""
    times = []
    with open(folder / "page", "wb") as file:
        for _ in range(count):
            began = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


@pytest.mark.parametrize("jobs", [4000, pytest.param(100_000, marks=pytest.mark.long)])
def test_jobs_are_accepted_in_groups(tmp_path, jobs):
    Case.behaving().gguf().write(tmp_path / "tiny.gguf")
    model = lockstep.shard(tmp_path / "tiny.gguf", tmp_path / "store")
    gateway = Gateway(tmp_path / "state", "--attach", model=model)
    try:
        words = [TOOL, gateway.url.rpartition(":")[2], "smollm2", CONNECTIONS, jobs]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{done.stderr}\n{gateway.logged()}"
    finally:
        gateway.close()  # By SIGKILL: what was accepted is on disk by now.
    found = json.loads(done.stdout)
    print(f"{found['jobs_per_s']:,} durable jobs/s from {CONNECTIONS} connections, {found['ms_p50']:.1f} ms each "
          f"(p99 {found['ms_p99']:.1f}); a sync of this disk takes {sync_ms(tmp_path):.2f} ms")
    with sqlite3.connect(gateway.state / "gateway.sqlite") as database:
        assert database.execute("SELECT count(*) FROM jobs").fetchone() == (jobs,)
    database.close()

"""`lockstep state backup` while a gateway answers: the copy is whole, holds what was accepted, and a gateway goes on
from it."""
import shutil
import sqlite3
import time

import pytest

from support import lockstep
from support.gateway import Gateway
from support.patient_client import Answers, Jobs, essence
from support.random_model import Case

BODY = {"model": "smollm2", "prompt": [5, 6, 7, 8], "max_tokens": 60, "temperature": 0.9, "seed": 3, "n": 2,
        "ignore_eos": True, "lockstep": {"receipt": True}}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    Case.behaving().gguf().write(folder / "tiny.gguf")
    return lockstep.shard(folder / "tiny.gguf", folder / "store")


@pytest.fixture
def gateway(tmp_path, model):
    gateway = Gateway(tmp_path / "state", "--ranks-as", "threads", model=model)
    yield gateway
    gateway.close()


def known(clients):
    return {bytes.fromhex(one) for client in clients for one in list(client.keys.values())}


def test_a_backup_under_load_holds_what_was_accepted(gateway, tmp_path, model):
    gateway.wait_ready()
    expected = [(BODY, essence(gateway.ask("/v1/completions", BODY)))]
    clients = [kind(lambda: gateway, seed, expected) for seed, kind in enumerate((Answers, Jobs))]
    for client in clients:
        client.start()
    try:
        for turn in range(3):
            before = known(clients)
            copy = tmp_path / f"copy{turn}.sqlite"
            lockstep.run_ok("state", "backup", "--state", gateway.state, "--out", copy)
            with sqlite3.connect(copy) as database:
                assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert before <= {row[0] for row in database.execute("SELECT id FROM jobs")}
            database.close()
            end = time.monotonic() + 60
            while len(known(clients)) < len(before) + 5 and time.monotonic() < end:
                assert all(client.error is None for client in clients), [client.error for client in clients]
                time.sleep(0.01)
    finally:
        for client in clients:
            client.stopping.set()
    for client in clients:
        client.finish(60)
        assert client.error is None
    copy = tmp_path / "last.sqlite"
    lockstep.run_ok("state", "backup", "--state", gateway.state, "--out", copy)
    assert gateway.stop() == 0

    (tmp_path / "restored").mkdir(mode=0o700)
    shutil.copy(copy, tmp_path / "restored/gateway.sqlite")
    restored = Gateway(tmp_path / "restored", "--attach", model=model)
    try:
        for one in clients[1].done:
            assert essence(restored.ask(f"/v1/jobs/{one}")["response"]) == expected[0][1]
    finally:
        restored.close()


def test_errors_of_the_gateway_are_the_commands_errors(gateway, tmp_path):
    (tmp_path / "taken").touch()
    refused = lockstep.run("state", "backup", "--state", gateway.state, "--out", tmp_path / "taken")
    assert refused.returncode == lockstep.USAGE
    assert "is there already" in refused.stderr
    refused = lockstep.run("state", "backup", "--state", gateway.state, "--out", tmp_path / "no/folder")
    assert refused.returncode == lockstep.NO_INPUT and "no/folder" in refused.stderr
    # And a gateway that ends leaves nobody waiting.
    gateway.kill()
    lockstep.run_ok("state", "backup", "--state", gateway.state, "--out", tmp_path / "copy.sqlite")

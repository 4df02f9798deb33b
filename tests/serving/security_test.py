"""Who gets in where: five kinds of clients at every route and every socket of a gateway. The routes are read from the
source, so one that is new without a row here is a failure.

Ids in messages never say who a replica is: ReplicaTransportTest.KnowsAPeerByItsKeyAlone comes with the key of one
replica and is that one, whatever it says. The socket of ranks on other hosts is in rank_beats_test.cc.
"""
import contextlib
import json
import os
import re
import socket
import stat
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from support import lockstep
from support.fake_gateway import read_all, split
from support.gateway import BINARY, Gateway
from support.random_model import Case

SOURCE = Path(os.environ["LOCKSTEP_SOURCE_DIR"])
PROBE = Path(os.environ.get("LOCKSTEP_CURVE_PROBE") or BINARY.parent / "tests/curve_probe_tool")

INFERENCE, BATCH, ADMIN = {"inference"}, {"batch"}, {"admin"}  # The scopes of keys that open a route.
EVERYONE, JOBS = {"everyone"}, INFERENCE | BATCH
ROUTES = {
    ("GET", "/"): EVERYONE,
    ("GET", "/healthz"): EVERYONE,
    ("GET", "/metrics"): ADMIN,
    ("GET", "/v1/lockstep/status"): ADMIN,
    ("GET", "/v1/models"): INFERENCE,
    ("GET", "/v1/models/*"): INFERENCE,
    ("POST", "/v1/completions"): INFERENCE,
    ("POST", "/v1/chat/completions"): INFERENCE,
    ("POST", "/tokenize"): INFERENCE,
    ("POST", "/detokenize"): INFERENCE,
    ("POST", "/v1/jobs"): JOBS,
    ("GET", "/v1/jobs"): JOBS,
    ("GET", "/v1/jobs/*"): JOBS,
    ("DELETE", "/v1/jobs/*"): JOBS,
    ("GET", "/v1/requests/*/events"): INFERENCE,
    ("POST", "/v1/files"): BATCH,
    ("GET", "/v1/files"): BATCH,
    ("GET", "/v1/files/*"): BATCH,
    ("DELETE", "/v1/files/*"): BATCH,
    ("GET", "/v1/files/*/content"): BATCH,
    ("POST", "/v1/batches"): BATCH,
    ("GET", "/v1/batches"): BATCH,
    ("GET", "/v1/batches/*"): BATCH,
    ("POST", "/v1/batches/*/cancel"): BATCH,
}
SCOPES = ("inference", "batch", "admin")
# What a ZeroMQ client says first: signature, version 3.1, mechanism.
GREETING = {name: b"\xff" + bytes(8) + b"\x7f\x03\x01" + name.encode().ljust(20, b"\0") + bytes(32)
            for name in ("NULL", "CURVE")}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("security")
    Case.behaving().gguf().write(folder / "tiny.gguf")
    model = lockstep.shard(folder / "tiny.gguf", folder / "store")
    gateway = Gateway(folder / "state", "--attach", auth=True, model=model)
    try:
        gateway.scoped = {scope: gateway.make_key("tester", "--scope", scope) for scope in SCOPES}
        gateway.revoked = gateway.make_key("tester", *(w for scope in SCOPES for w in ("--scope", scope)))
        listed = json.loads(lockstep.run_ok("state", "key", "list", "--state", gateway.state, "--json").stdout)
        lockstep.run_ok("state", "key", "revoke", listed["keys"][-1]["id"], "--state", gateway.state)
        wait_for(lambda: request(gateway, "GET", "/v1/models", gateway.revoked)[0] == 401)
        wait_for(lambda: request(gateway, "GET", "/v1/models", gateway.scoped["inference"])[0] == 200)
        yield gateway
    finally:
        gateway.close()


def wait_for(condition, timeout=20):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def request(gateway, method, path, key=None):
    """(status, the error's code)"""
    asked = urllib.request.Request(gateway.url + path.replace("*", "0" * 32), method=method,
                                   data=b"{}" if method == "POST" else None)
    if key is not None:
        asked.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return answer.status, None
    except urllib.error.HTTPError as error:
        text = error.read()
        return error.code, json.loads(text)["error"]["code"] if text.startswith(b"{\"error\"") else None


def raw(port, data, timeout=5):
    """What a socket answers to bytes until it closes, or is silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as client:
        client.sendall(data)
        with contextlib.suppress(OSError):  # It is closed already.
            client.shutdown(socket.SHUT_WR)
        return read_all(client)


def http_port(gateway):
    return int(gateway.url.rpartition(":")[2])


def replica_port(gateway):
    return int(gateway.replicas_at().rpartition(":")[2])


def test_every_route_of_the_source_has_a_row():
    text = (SOURCE / "scheduler/gateway/http/router.cc").read_text()
    found = re.findall(r'Route\{RouteId::\w+, "(\w+)", "([^"]+)", (\w+)\}', text)
    scopes = {"0": EVERYONE, "kScopeInference": INFERENCE, "kScopeJobs": JOBS, "kScopeBatches": BATCH,
              "kScopeStatus": ADMIN}
    assert len(found) == text.count("Route{RouteId::")
    assert {(method, path): scopes[scope] for method, path, scope in found} == ROUTES


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_route_is_open_to_whom_it_is_for(gateway, method, path):
    scope = ROUTES[method, path]
    if scope == EVERYONE:
        for key in (None, "sk-wrong", gateway.revoked, *gateway.scoped.values()):
            assert request(gateway, method, path, key)[0] in (200, 503), key  # 503: healthy without a replica is not.
        return
    assert request(gateway, method, path) == (401, "missing_api_key")
    assert request(gateway, method, path, "") == (401, "missing_api_key")
    assert request(gateway, method, path, "sk-wrong") == (401, "invalid_api_key")
    assert request(gateway, method, path, gateway.key[:-1]) == (401, "invalid_api_key")
    assert request(gateway, method, path, gateway.revoked) == (401, "invalid_api_key")
    for other in SCOPES:
        status, code = request(gateway, method, path, gateway.scoped[other])
        if other in scope:
            assert status not in (401, 403, 405), code
        else:
            assert (status, code) == (403, "insufficient_scope"), other


@pytest.mark.parametrize("mechanism", GREETING)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_replica_gets_nothing_from_a_route(gateway, method, path, mechanism):
    line = f"{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    status, headers, _ = split(raw(http_port(gateway), GREETING[mechanism] + line))
    assert (status, headers["connection"]) == (400, "close")


def test_paths_that_are_not_there_say_so_to_keys_alone(gateway):
    for path in ("/v1/nothing", "/v1/lockstep", "/admin"):
        assert request(gateway, "GET", path)[0] == 401
        assert request(gateway, "GET", path, gateway.scoped["inference"])[0] == 404


@pytest.mark.parametrize("kind", ["no key", "wrong key", "right key"])
def test_http_gets_nothing_from_the_replicas_socket(gateway, kind):
    key = {"no key": "", "wrong key": "Authorization: Bearer sk-wrong\r\n",
           "right key": f"Authorization: Bearer {gateway.key}\r\n"}[kind]
    answer = raw(replica_port(gateway), f"GET /healthz HTTP/1.1\r\nHost: a\r\n{key}\r\n".encode())
    assert b"HTTP" not in answer and b"ok" not in answer


@pytest.mark.parametrize(
    ("kind", "outcome"), [("plain", "nothing"), ("unknown", "nothing"), ("known", "answered")]
)
def test_the_replicas_socket_hears_keys_that_it_gave_out(gateway, kind, outcome):
    words = [PROBE, gateway.replicas_at()] + ([] if kind == "known" else [kind])
    words += [] if kind == "plain" else [gateway.state / "replica-0.key"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=30)
    assert (done.stdout.strip(), done.returncode) == (outcome, 0), done.stderr


def ask_admin(gateway, line):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        folder = os.open(gateway.state, os.O_PATH)
        try:
            client.connect(f"/proc/self/fd/{folder}/gateway.sock")
        finally:
            os.close(folder)
        client.settimeout(10)
        with contextlib.suppress(BrokenPipeError):
            client.sendall(line)
            client.shutdown(socket.SHUT_WR)
        return read_all(client).decode()


def test_the_admin_socket_is_its_owners_alone(gateway):
    assert stat.S_IMODE((gateway.state / "gateway.sock").stat().st_mode) == 0o600
    assert stat.S_IMODE(gateway.state.stat().st_mode) == 0o700
    if os.geteuid() != 0:
        pytest.skip("another user can only be tried by root")
    words = ["test", "-e", str(gateway.state / "gateway.sock")]
    assert subprocess.run(words, user=65534, check=False).returncode == 1


@pytest.mark.parametrize(
    "line", [b"GET / HTTP/1.1\r\n", *GREETING.values(), b"\n", b"backup relative\n", b"x" * 20_000]
)
def test_the_admin_socket_takes_no_other_language(gateway, line):
    answer = ask_admin(gateway, line + b"\n")
    assert answer == "" or answer.startswith("invalid argument: ")


def test_every_secret_file_is_private(gateway):
    for path in gateway.state.rglob("*"):
        if path.is_file() and path.name not in ("lock", "replica.endpoint"):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_nothing_listens_on_a_wildcard(gateway):
    inodes = {os.readlink(f) for f in Path(f"/proc/{gateway.process.pid}/fd").iterdir() if f.is_symlink()}
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{gateway.process.pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in inodes:
                listening.append(words[1].partition(":")[0])
    assert len(listening) == 2  # HTTP and the replicas'.
    assert set(listening) == {"0100007F"}

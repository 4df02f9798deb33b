"""The HTTP server against clients that do not keep to the rules: raw bytes over a socket."""
import contextlib
import json
import resource
import socket
import subprocess
import time

import pytest
from support.fake_gateway import KEY, TOOL, events, fake_gateway, read_all, split

HEAD = f"POST /tokenize HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n".encode()
BODY = b'{"prompt":"ab"}'


@pytest.fixture(scope="module")
def gateway():
    with fake_gateway("head_ms=700", "idle_ms=600") as one:
        yield one


def status_of(gateway, data):
    answer = gateway.raw(data)
    return split(answer)[0] if answer else None


@pytest.mark.parametrize(
    ("name", "data", "status"),
    [
        ("length and chunks", b"Content-Length: 15\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("two lengths", b"Content-Length: 15\r\nContent-Length: 16\r\n\r\n" + BODY, 400),
        ("signed length", b"Content-Length: +15\r\n\r\n" + BODY, 400),
        ("unknown coding", b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        ("signed chunk", b"Transfer-Encoding: chunked\r\n\r\n-F\r\n" + BODY + b"\r\n0\r\n\r\n", 400),
        ("chunk overflow", b"Transfer-Encoding: chunked\r\n\r\n1000000000000000F\r\n" + BODY, 400),
        ("trailer", b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n\r\n", 400),
        ("compressed", b"Content-Encoding: gzip\r\nContent-Length: 15\r\n\r\n" + BODY, 415),
        ("folded field", b"X: a\r\n b\r\n\r\n", 400),
        ("a field too many", b"X: 1\r\n" * 99 + b"\r\n", 431),
        ("long header", b"X: " + b"a" * 17000 + b"\r\n\r\n", 431),
        ("long body", b"Content-Length: 8388609\r\n\r\n", 413),
    ],
)
def test_is_refused_with_a_reason_and_closed(gateway, name, data, status):
    code, headers, body = split(gateway.raw(HEAD + data))
    assert code == status, body
    assert headers["connection"] == "close"
    assert json.loads(body)["error"]["message"].startswith("HTTP: ")
    assert len(headers["x-request-id"]) == 32


def test_a_smuggled_request_is_never_read(gateway):
    smuggled = b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    both = HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert gateway.raw(both + smuggled).count(b"HTTP/1.1 ") == 1


def test_a_body_in_chunks_is_read(gateway):
    chunks = b"5\r\n" + BODY[:5] + b"\r\nA\r\n" + BODY[5:] + b"\r\n0\r\n\r\n"
    data = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    code, _, body = split(gateway.raw(data))
    assert (code, json.loads(body)["count"]) == (200, 1)


def test_pipelined_requests_are_answered_in_order(gateway):
    one = HEAD + b"Content-Length: 15\r\n\r\n" + BODY
    last = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = gateway.raw(one + one + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.rstrip().endswith(b'{"status":"ok"}')


def test_a_body_that_is_waited_for_is_asked_for(gateway):
    with gateway.connect() as client:
        client.sendall(HEAD + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: 15\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(BODY)
        assert split(read_all(client))[0] == 200


def test_a_refused_body_is_not_asked_for(gateway):
    data = b"POST /tokenize HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 15\r\n\r\n"
    assert status_of(gateway, data) == 401


def test_a_slow_header_is_cut_off(gateway):
    start = time.monotonic()
    with gateway.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(3):
            time.sleep(0.15)
            client.sendall(b"X: 1\r\n")  # Bytes that trickle in do not lengthen it.
        assert split(read_all(client))[0] == 408
    assert 0.6 < time.monotonic() - start < 4


def test_an_idle_connection_is_closed(gateway):
    with gateway.connect() as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200 OK" in client.recv(1000)
        start = time.monotonic()
        assert client.recv(1) == b""
        assert 0.4 < time.monotonic() - start < 4


def test_methods_are_checked(gateway):
    code, headers, _ = gateway.request("GET", "/v1/completions")
    assert (code, headers["allow"]) == (405, "POST")
    assert gateway.request("GET", "/v1/nothing")[0] == 404
    code, headers, body = gateway.request("HEAD", "/v1/models")
    assert (code, body) == (200, b"") and int(headers["content-length"]) > 0
    for method in ("OPTIONS", "TRACE", "CONNECT", "BREW"):
        assert gateway.request(method, "/v1/completions")[0] == 405, method


def test_no_page_of_another_origin_is_let_in(gateway):
    _, headers, _ = gateway.request("GET", "/v1/models", headers=[("Origin", "http://evil.example")])
    assert not [name for name in headers if name.startswith("access-control")]


def test_connections_are_bounded():
    with fake_gateway("max_connections=3") as gateway:
        held = [gateway.connect() for _ in range(3)]
        time.sleep(0.2)
        code, headers, _ = split(gateway.raw(b""))
        assert (code, headers["retry-after"]) == (503, "1")
        held.pop().close()
        time.sleep(0.2)
        assert gateway.request("GET", "/healthz")[0] == 200
        for one in held:
            one.close()


def test_slow_clients_do_not_slow_a_good_one_down():
    def p99(gateway):
        times = []
        for _ in range(300):
            start = time.perf_counter()
            assert gateway.request("GET", "/healthz")[0] == 200
            times.append(time.perf_counter() - start)
        return sorted(times)[296]

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with fake_gateway("head_ms=60000") as gateway, contextlib.ExitStack() as held:
            alone = p99(gateway)
            for _ in range(2000):
                held.enter_context(gateway.connect()).sendall(b"GET / HTTP/1.1\r\nX: ")
            beside = p99(gateway)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(f"p99 alone {alone * 1e3:.2f} ms, beside 2,000 slow headers {beside * 1e3:.2f} ms")
    # Promised: at most twice; asserted at four times that, and never below what a busy machine adds.
    assert beside <= max(8 * alone, 0.05)


def test_a_client_that_reads_late_gets_everything():
    body = {"prompt": "a", "max_tokens": 200, "stream": True, "n": 2, "ignore_eos": True, "logprobs": 0}
    with fake_gateway("token_us=100") as gateway, gateway.connect(30) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        payload = json.dumps(body).encode()
        client.sendall(
            f"POST /v1/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n"
            f"Content-Length: {len(payload)}\r\n\r\n".encode() + payload
        )
        time.sleep(1)
        found = events(split(read_all(client))[2])
        # An event per token and choice, and one per end.
        assert found[-1] == (None, "[DONE]") and len(found) == 2 * 201 + 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["host=0.0.0.0", "insecure_http=1"], "every network"),
        (["host=10.1.2.3", "no_auth=1"], "--no-auth"),
        (["host=10.1.2.3"], "in the clear"),
        (["tls_cert=/nothing", "tls_key=/nothing"], "--tls-cert"),
    ],
)
def test_options_that_give_the_service_away_are_refused(arguments, word):
    done = subprocess.run([TOOL, *arguments], capture_output=True, text=True, timeout=10)
    assert done.returncode == 64 and word in done.stderr


def test_without_keys_host_and_origin_are_checked():
    with fake_gateway("no_auth=1") as gateway:
        get = b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n"
        assert status_of(gateway, get + b"Host: localhost\r\n\r\n") == 200
        assert status_of(gateway, get + b"Host: evil.example\r\n\r\n") == 403
        assert status_of(gateway, get + b"Host: localhost\r\nOrigin: http://evil.example\r\n\r\n") == 403

"""Answers over HTTP: streams that go on where they were cut, replays, keys, jobs. The backend is the fake one."""
import json
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest
from support.fake_gateway import KEY, events, fake_gateway, split

REQUEST = {"prompt": "hello", "max_tokens": 40, "seed": 3, "ignore_eos": True}


@pytest.fixture(scope="module")
def gateway():
    keys = (
        f"{KEY},tenant-a",
        "sk-other,tenant-b",
        "sk-limited,tenant-c,60",
        "sk-jobs,tenant-d,0,2",
    )
    with fake_gateway("fail_prompt=3", "heartbeat_ms=200", "patience=200", keys=keys) as one:
        yield one


def stream(gateway, path="/v1/completions", headers=(), **fields):
    code, head, body = gateway.request("POST", path, REQUEST | {"stream": True} | fields, headers=headers)
    assert code == 200, body
    assert head["content-type"].startswith("text/event-stream")
    return head, body


def text_of(found):
    return "".join(one["choices"][0]["text"] for _, one in found if one != "[DONE]" and one["choices"])


def parts_of(body, choice):
    chosen = [one["choices"] for _, one in events(body) if one != "[DONE]"]
    return [parts[0] for parts in chosen if parts and parts[0]["index"] == choice]


def test_a_stream_has_the_text_of_the_whole_answer(gateway):
    _, body = stream(gateway)
    code, whole = gateway.json("POST", "/v1/completions", REQUEST)
    assert code == 200 and text_of(events(body)) == whole["choices"][0]["text"]
    assert whole["usage"] == {"prompt_tokens": 5, "completion_tokens": 40, "total_tokens": 45}


def test_a_stream_goes_on_behind_every_event(gateway):
    head, body = stream(gateway, n=2, stream_options={"include_usage": True}, stop=["q "])
    blocks = body.decode().split("\n\n")
    path = f"/v1/requests/{head['x-request-id']}/events"
    for index in range(0, len(blocks), 7):
        if not blocks[index].startswith("id: "):
            continue
        last = blocks[index].split("\n")[0][4:]
        code, _, rest = gateway.request("GET", path, headers=[("Last-Event-ID", last)])
        assert code == 200
        ids = {one for one, _ in events(rest) if one}
        assert last not in ids
        # The choices may come in another order; each goes on where it was.
        seen = "\n\n".join(blocks[: index + 1]).encode()
        for choice in (0, 1):
            assert parts_of(seen, choice) + parts_of(rest, choice) == parts_of(body, choice)
    code, _, again = gateway.request("GET", path)
    assert code == 200 and [parts_of(again, choice) == parts_of(body, choice) for choice in (0, 1)] == [True, True]


def test_an_event_ahead_of_the_computation_is_waited_for(gateway):
    head, body = stream(gateway, seed=11)
    last = [one for one, _ in events(body) if one][20]
    with fake_gateway("token_us=3000") as slow:
        with slow.connect() as client:
            payload = json.dumps(REQUEST | {"stream": True, "seed": 11}).encode()
            client.sendall(
                f"POST /v1/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n"
                f"Content-Length: {len(payload)}\r\n\r\n".encode() + payload
            )
            answer = client.recv(4096).decode()
        request = re.search(r"x-request-id: (\w+)", answer)[1]
        ahead = last.replace(head["x-request-id"], request)
        code, _, rest = slow.request("GET", f"/v1/requests/{request}/events", headers=[("Last-Event-ID", ahead)])
        position = [one for one, _ in events(body)].index(last)
        assert code == 200 and text_of(events(rest)) == text_of(events(body)[position + 1 :])


def test_requests_of_others_are_not_there(gateway):
    head, _ = stream(gateway)
    path = f"/v1/requests/{head['x-request-id']}/events"
    assert gateway.request("GET", path, key="sk-other")[0] == 404
    assert gateway.request("GET", f"/v1/requests/{'0' * 32}/events")[0] == 404
    assert gateway.request("GET", "/v1/requests/x/events")[0] == 404
    for wrong in ("x", f"{'0' * 32}:1", f"{head['x-request-id']}:1,1"):
        assert gateway.request("GET", path, headers=[("Last-Event-ID", wrong)])[0] == 400


def test_a_key_of_a_request_replays_it(gateway):
    first = stream(gateway, headers=[("Idempotency-Key", "k1")], temperature=1, seed=None)
    second = stream(gateway, headers=[("Idempotency-Key", "k1")], temperature=1, seed=None)
    assert first[1] == second[1] and first[0]["x-request-id"] == second[0]["x-request-id"]
    assert second[0]["idempotent-replayed"] == "true"
    code, error = gateway.json("POST", "/v1/completions", REQUEST | {"seed": 9}, headers=[("Idempotency-Key", "k1")])
    assert code == 422 and "Idempotency-Key" in error["error"]["message"]
    code, error = gateway.json("POST", "/v1/completions", REQUEST, headers=[("Idempotency-Key", "k" * 256)])
    assert code == 400 and error["error"]["param"] == "Idempotency-Key"


def test_a_client_that_leaves_is_noticed(gateway):
    before = gateway.status()["cancelled_total"]
    for stream_it in (True, False):
        payload = json.dumps(REQUEST | {"max_tokens": 2000, "stream": stream_it}).encode()
        with gateway.connect() as client:
            client.sendall(
                f"POST /v1/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n"
                f"Content-Length: {len(payload)}\r\n\r\n".encode() + payload
            )
            time.sleep(0.2)
    deadline = time.monotonic() + 10
    while gateway.status()["cancelled_total"] < before + 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_error_of_the_engine_ends_the_stream(gateway):
    found = events(stream(gateway, prompt="xyz")[1])
    assert found[-2][1]["error"]["message"] == "the engine failed" and found[-1] == (None, "[DONE]")
    code, error = gateway.json("POST", "/v1/completions", REQUEST | {"prompt": "xyz"})
    assert (code, error["error"]["type"]) == (500, "server_error")


def test_a_limited_key_waits(gateway):
    body = REQUEST | {"max_tokens": 60}
    assert gateway.request("POST", "/v1/completions", body, key="sk-limited")[0] == 200
    code, headers, _ = gateway.request("POST", "/v1/completions", body, key="sk-limited")
    assert code == 429 and 1 <= int(headers["retry-after"]) <= 60


ROUTES = [
    ("GET", "/metrics"), ("GET", "/v1/lockstep/status"), ("GET", "/v1/models"), ("GET", "/v1/models/fake"),
    ("POST", "/v1/completions"), ("POST", "/v1/chat/completions"), ("POST", "/tokenize"), ("POST", "/detokenize"),
    ("POST", "/v1/jobs"), ("GET", "/v1/jobs/1"), ("DELETE", "/v1/jobs/1"), ("GET", "/v1/requests/1/events"),
    ("GET", "/v1/nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_needs_a_key_of_its_scope(gateway, method, path):
    assert gateway.request(method, path, key=None)[0] == 401
    assert gateway.request(method, path, key="sk-wrong")[0] == 401
    expected = {403} if "/jobs" not in path and path != "/v1/nothing" else {400, 404}
    assert gateway.request(method, path, key="sk-jobs")[0] in expected


def test_health_and_the_page_need_none(gateway):
    assert gateway.request("GET", "/healthz", key=None)[0] == 200
    code, headers, page = gateway.request("GET", "/", key=None)
    assert code == 200 and b"<form" in page and "default-src 'none'" in headers["content-security-policy"]
    assert not re.search(rb"(src|href)=\"(?!data:)", page)
    with fake_gateway("ready=0") as starting:
        assert starting.request("GET", "/healthz", key=None)[0] == 503


def test_a_full_gateway_says_when_to_ask_again():
    with fake_gateway("full=1") as gateway:
        code, headers, _ = gateway.request("POST", "/v1/completions", REQUEST)
        assert (code, headers["retry-after"]) == (503, "1")


def test_a_job_is_accepted_looked_at_and_cancelled(gateway):
    body = {"url": "/v1/completions", "body": REQUEST}
    code, headers, text = gateway.request("POST", "/v1/jobs", body)
    job = json.loads(text)
    assert (code, job["status"], headers["location"]) == (202, "in_progress", f"/v1/jobs/{job['id']}")
    deadline = time.monotonic() + 10
    while gateway.json("GET", headers["location"])[1]["status"] != "completed":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    done = gateway.json("GET", headers["location"])[1]
    whole = gateway.json("POST", "/v1/completions", REQUEST)[1]
    assert done["response"]["choices"] == whole["choices"]
    assert gateway.request("GET", headers["location"], key="sk-other")[0] == 404

    long = {"url": "/v1/completions", "body": REQUEST | {"max_tokens": 2000}}
    path = gateway.request("POST", "/v1/jobs", long)[1]["location"]
    assert gateway.json("DELETE", path)[1]["status"] == "cancelled"
    error = gateway.json("POST", "/v1/jobs", {"url": "/v1/completions", "body": {"prompt": 1}})[1]["error"]
    assert error["param"] == "body.prompt"


def test_metrics_are_openmetrics_with_names_of_vllm(gateway):
    stream(gateway)
    code, headers, body = gateway.request("GET", "/metrics")
    text = body.decode()
    assert code == 200 and headers["content-type"].startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name = re.fullmatch(r'([\w:]+)\{[^}]*\} [0-9.e+-]+', line)[1]
        family = re.sub(r"_(total|bucket|count|sum)$", "", name)
        assert family in types or name in types, line
    assert types["vllm:num_requests_running"] == "gauge" and types["vllm:generation_tokens"] == "counter"
    assert 'vllm:kv_cache_usage_perc{model_name="fake"} 0.250000' in text
    count = int(re.search(r"vllm:time_to_first_token_seconds_count\{.*\} (\d+)", text)[1])
    assert count >= 1 and f'vllm:time_to_first_token_seconds_bucket{{model_name="fake",le="+Inf"}} {count}' in text


def test_a_quiet_stream_has_heartbeats():
    with fake_gateway("token_us=700000", "heartbeat_ms=100") as gateway:
        _, body = stream(gateway, max_tokens=2)
        assert body.count(b":\n\n") >= 3 and len(events(body)) >= 2


def make_certificate(folder, name):
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def test_tls_serves_and_reads_its_files_again(tmp_path):
    def ask(trusted):
        context = ssl.create_default_context(cafile=trusted)
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                answer, version = b"", client.version()
                while part := client.recv(4096):
                    answer += part
                return split(answer)[0], version

    certificate, key = make_certificate(tmp_path, "first")
    with fake_gateway(f"tls_cert={certificate}", f"tls_key={key}") as gateway:
        assert ask(certificate) == (200, "TLSv1.3")
        old = tmp_path / "old.pem"
        certificate.rename(old)
        make_certificate(tmp_path, "second")
        gateway.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert ask(certificate)[0] == 200
        with pytest.raises(ssl.SSLError):
            ask(old)

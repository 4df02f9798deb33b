"""Starts the HTTP server over a backend without replicas (fake_gateway_tool), and speaks to it in raw bytes."""
import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LOCKSTEP_BUILD_DIR") or REPOSITORY / "build")
TOOL = Path(os.environ.get("LOCKSTEP_FAKE_GATEWAY") or BUILD / "release/tests/fake_gateway_tool")
KEY = "sk-test"


class Gateway:
    def __init__(self, process, port, host="127.0.0.1"):
        self.process, self.port, self.host = process, port, host
        self.url = f"http://{host}:{port}"

    def connect(self, timeout=10):
        return socket.create_connection((self.host, self.port), timeout=timeout)

    def raw(self, data, timeout=10):
        """What the server sends until it closes, to bytes sent as they are."""
        with self.connect(timeout) as client:
            client.sendall(data)
            return read_all(client)

    def request(self, method, path, body=None, key=KEY, headers=()):
        """(status, headers, body) of a request with a connection of its own."""
        payload = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", "Connection: close"]
        lines += [f"Authorization: Bearer {key}"] if key else []
        lines += [f"Content-Length: {len(payload)}"] if body is not None else []
        lines += [f"{name}: {value}" for name, value in headers]
        return split(self.raw("\r\n".join([*lines, "", ""]).encode() + payload))

    def json(self, method, path, body=None, **options):
        status, _, text = self.request(method, path, body, **options)
        return status, json.loads(text)

    def status(self):
        return self.json("GET", "/v1/lockstep/status")[1]


def read_all(client):
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def split(answer):
    """(status, headers, body) of a raw response; a chunked body is put together."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        chunks, rest = [], body
        while True:
            size, _, rest = rest.partition(b"\r\n")
            if int(size or b"0", 16) == 0:
                break
            chunks.append(rest[: int(size, 16)])
            rest = rest[int(size, 16) + 2 :]
        body = b"".join(chunks)
    return int(lines[0].split()[1]), headers, body


def events(body):
    """[(id or None, parsed data)] of an event stream; the last is (None, "[DONE]")."""
    found = []
    for block in body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if "data" in fields:
            data = fields["data"]
            found.append((fields.get("id"), data if data == "[DONE]" else json.loads(data)))
    return found


@contextlib.contextmanager
def fake_gateway(*arguments, keys=(f"{KEY},tenant-a",), host="127.0.0.1"):
    process = subprocess.Popen(
        [TOOL, f"host={host}", *arguments, *(f"key={key}" for key in keys)], stdout=subprocess.PIPE, text=True
    )
    try:
        yield Gateway(process, int(process.stdout.readline().split()[1]), host)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

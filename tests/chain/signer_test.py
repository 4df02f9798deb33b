"""`lockstep signer` as a process: who may ask it, what it signs, what it leaves behind. The messages are written here
once more, from the table in chainbridge/signer/README.md."""
import json
import os
import random
import signal
import socket
import stat
import struct
import subprocess
import time
from pathlib import Path

import pytest

SOURCE = Path(os.environ.get("LOCKSTEP_SOURCE_DIR") or Path(__file__).resolve().parents[2])
BUILD = Path(os.environ.get("LOCKSTEP_BUILD_DIR") or SOURCE / "build")
BINARY = Path(os.environ.get("LOCKSTEP_BINARY") or BUILD / "release/lockstep")
CRASH_BINARY = Path(os.environ.get("LOCKSTEP_CRASH_BINARY") or BUILD / "release/tests/lockstep_crash")
OWNER, ROLLUP, ESCROW = ("0x" + digit * 40 for digit in "123")
SUBMIT = "submit((address,uint64,bytes32,bytes32,uint64,bytes32),bytes)"
CHAIN = 31337
PASSPHRASE = "correct horse battery staple"
DENIED = 8  # 1 + the number of "permission denied".

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"no {BINARY}")


def policy():
    calls = [{"contract": ROLLUP, "method": SUBMIT},
             {"contract": ESCROW, "method": "withdrawTo(address)", "recipient_argument": 0}]
    return {"owner": OWNER, "recipient": OWNER, "chains": [
        {"chain_id": CHAIN, "max_fee_per_gas": "1000", "max_gas_limit": 1_000_000, "spend_per_day": "1000000000",
         "rollup": ROLLUP, "escrow": ESCROW, "calls": calls}]}


def header(sequence, root):
    words = [bytes(12) + bytes.fromhex(ROLLUP[2:]), bytes(12) + bytes.fromhex(OWNER[2:]), bytes(32), root, bytes(32)]
    return bytes([1, 2]) + struct.pack("<QQQ", CHAIN, sequence, 1) + b"".join(words)


class Signer:
    def __init__(self, folder, binary=BINARY):
        folder.chmod(0o700)
        self.folder, self.binary, self.process = folder, binary, None
        self.socket = folder / "signer.sock"
        self.keystore = folder / "node.json"
        self.passphrase = folder / "passphrase"
        self.passphrase.write_text(PASSPHRASE + "\n")
        self.passphrase.chmod(0o600)
        (folder / "policy.json").write_text(json.dumps(policy()))

    def run(self, *options, **kwargs):
        return subprocess.run([self.binary, "signer", *map(str, options)], capture_output=True, text=True, timeout=60,
                              **kwargs)

    def create(self):
        made = self.run("--create-keystore", "--keystore", self.keystore, "--passphrase-file", self.passphrase)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def command(self):
        return [str(word) for word in (
            self.binary, "signer", "--socket", self.socket, "--state", self.folder / "signer.sqlite", "--keystore",
            self.keystore, "--policy", self.folder / "policy.json", "--passphrase-file", self.passphrase)]

    def start(self, crash_at=""):
        self.socket.unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stderr=log,
                                            env={**os.environ, "LOCKSTEP_CRASH_AT": crash_at})
        end = time.monotonic() + 30
        while self.ask(b"\1\0", or_none=True) is None:
            assert self.process.poll() is None and time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.02)
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            return self.process.wait(timeout=10)
        return None

    def ask(self, request, or_none=False):
        """The answer's bytes; None when nobody answers."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            try:
                connection.connect(str(self.socket))
                connection.sendall(struct.pack("<I", len(request)) + request)
                data = b""
                while len(data) < 4 or len(data) < 4 + struct.unpack("<I", data[:4])[0]:
                    piece = connection.recv(1 << 16)
                    if not piece:
                        break
                    data += piece
            except OSError:
                data = b""
        assert or_none or data, (self.folder / "log").read_text()
        return data[4:] or None


@pytest.fixture
def signer(tmp_path):
    made = Signer(tmp_path)
    yield made
    made.stop()


def test_it_signs_with_the_key_it_made_and_each_header_once(signer):
    address = signer.create()
    signer.start()
    assert signer.ask(b"\1\0")[1:].hex() == address[2:].lower()
    first = signer.ask(header(1, b"a" * 32))
    assert first[0] == 0 and len(first) == 66
    assert signer.ask(header(1, b"a" * 32)) == first
    assert signer.ask(header(1, b"b" * 32))[0] == DENIED
    assert signer.stop() == 0
    signer.start()
    assert signer.ask(header(1, b"b" * 32))[0] == DENIED, "it remembers"
    assert signer.ask(header(1, b"a" * 32)) == first


def test_it_refuses_a_thousand_foreign_messages(signer):
    signer.create()
    signer.start()
    draw = random.Random(3)
    for i in range(1000):
        body = draw.randbytes(draw.randrange(200))
        if i % 2:  # A transaction, type 2, of random fields.
            fields = b"".join(bytes([0x80 + len(f)]) + f for f in (
                bytes([1 + draw.randrange(255)]) + draw.randbytes(1), b"\xff\x01", b"\xff", b"\xff", b"\xff\xff",
                draw.randbytes(20), b"\xff", draw.randbytes(40))) + b"\xc0"
            body = b"\2" + bytes([0xf8, len(fields)]) + fields
        answer = signer.ask(bytes([1, 1]) + body)
        assert answer[0] != 0, body.hex()
    assert signer.ask(b"\1\0")[0] == 0, "it is well"


def test_it_keeps_its_secrets(signer):
    signer.create()
    key_file = signer.keystore.stat()
    assert stat.S_IMODE(key_file.st_mode) == 0o600
    signer.start()
    assert stat.S_IMODE(signer.socket.stat().st_mode) == 0o600
    proc = Path(f"/proc/{signer.process.pid}")
    assert PASSPHRASE.encode() not in (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
    limits = (proc / "limits").read_text().splitlines()
    assert any(line.startswith("Max core file size") and line.split()[4:6] == ["0", "0"] for line in limits)
    locked = next(line for line in (proc / "status").read_text().splitlines() if line.startswith("VmLck"))
    assert int(locked.split()[1]) > 0
    assert PASSPHRASE not in (signer.folder / "log").read_text()


@pytest.mark.parametrize("spoil,status", [
    (lambda s: s.passphrase.write_text("wrong"), 77),
    (lambda s: s.passphrase.chmod(0o644), 77),
    (lambda s: s.folder.chmod(0o755), 77),
    (lambda s: s.keystore.write_text("{}"), 65),
    (lambda s: (s.folder / "policy.json").write_text("{}"), 65),
    (lambda s: s.keystore.unlink(), 66),
])
def test_it_does_not_start_on_files_that_are_wrong(signer, spoil, status):
    signer.create()
    spoil(signer)
    done = subprocess.run(signer.command(), capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    assert PASSPHRASE not in done.stderr


def test_a_keystore_is_never_overwritten(signer):
    signer.create()
    before = signer.keystore.read_bytes()
    assert signer.run("--create-keystore", "--keystore", signer.keystore, "--passphrase-file",
                      signer.passphrase).returncode == 64
    assert signer.keystore.read_bytes() == before


@pytest.mark.parametrize("point", ["signer.request", "signer.record", "signer.recorded", "signer.signed"])
def test_a_kill_at_any_point_signs_no_second_header(tmp_path, point):
    if not CRASH_BINARY.exists():
        pytest.skip(f"no {CRASH_BINARY}")
    signer = Signer(tmp_path, CRASH_BINARY)
    signer.create()
    try:
        # The question by which `start` sees that it listens writes nothing, and passes all other points.
        signer.start(f"{point}:{1 if point == 'signer.record' else 2}")
        answer = signer.ask(header(1, b"a" * 32), or_none=True)
        assert answer is None and signer.process.wait(timeout=10) == -signal.SIGKILL
        signer.start()
        recorded = point in ("signer.recorded", "signer.signed")
        assert signer.ask(header(1, b"b" * 32))[0] == (DENIED if recorded else 0)
        assert signer.ask(header(1, b"a" * 32))[0] == (0 if recorded else DENIED)
    finally:
        signer.stop()

"""The curl lines of the README, as a reader would type them, against a real gateway."""
import json
import os
import re
import shlex
import subprocess
import time
from pathlib import Path

import pytest

from support.gateway import Gateway

README = Path(os.environ["LOCKSTEP_SOURCE_DIR"]) / "README.md"


def commands(text):
    """The shell commands of all code blocks, with what continues on other lines."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        command = ""
        for line in block.splitlines():
            command += line + "\n"
            try:
                complete = not line.endswith("\\") and bool(shlex.split(command, comments=True))
            except ValueError:  # Inside quotes.
                complete = False
            if complete:
                yield command
                command = ""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    served = Gateway(tmp_path_factory.mktemp("readme") / "state")
    served.wait_ready()
    yield served
    served.close()


def test_curl_lines_work(gateway, tmp_path):
    lines = [c for c in commands(README.read_text()) if c.startswith("curl") and "localhost:8000" in c]
    assert any("/v1/chat/completions" in c for c in lines) and any("/metrics" in c for c in lines)
    found = {}
    one = {"custom_id": "1", "method": "POST", "url": "/v1/completions", "body": {"prompt": "A", "max_tokens": 2}}
    (tmp_path / "in.jsonl").write_text(json.dumps(one) + "\n")
    for line in lines:
        for kind, one in found.items():
            line = line.replace(kind + "...", one)
        line = line.replace("localhost:8000", gateway.url).replace("curl ", "curl -sS --fail-with-body ", 1)
        said = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        if "/cancel" in line:  # It has ended by now.
            assert said.returncode == 22 and "error" in json.loads(said.stdout)
            continue
        assert said.returncode == 0, line + said.stdout + said.stderr
        if '"stream": true' in line:
            assert said.stdout.rstrip().endswith("data: [DONE]")
        elif "receipt" in line:
            assert json.loads(said.stdout)["lockstep"]["receipts"]
        elif "/metrics" in line:
            assert said.stdout.startswith('{"status":"ok"}') and said.stdout.rstrip().endswith("# EOF")
        for kind, pattern in (("file-", r'"(file-[0-9a-z-]+)"'), ("batch_", r'"(batch_[0-9a-z-]+)"')):
            ids = re.findall(pattern, said.stdout)
            if ids:
                found[kind] = ids[-1]
        if "batch_" in found and "output" not in found:
            found["output"] = found["file-"] = finished(gateway, found["batch_"])


def finished(gateway, batch):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        state = gateway.ask(f"/v1/batches/{batch}")
        if state["status"] == "completed":
            return state["output_file_id"]
        time.sleep(0.1)
    raise AssertionError(state)

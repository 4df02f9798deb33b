"""`lockstep serve` as a test sees it: started on free ports, asked over HTTP, its processes found and killed."""
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

BINARY = Path(os.environ["LOCKSTEP_BINARY"])
MODEL = Path(os.environ["LOCKSTEP_MODELS"]) / "smollm2"
ALL_SCOPES = ("--scope", "inference", "--scope", "batch", "--scope", "admin")


def environment(pid):
    """The variables of a process; nothing when it has ended."""
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return dict(word.decode(errors="replace").split("=", 1) for word in words if b"=" in word)


def processes():
    """{pid: (parent, words of the command line)} of all that run."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            stat = (folder / "stat").read_text()
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue
        state, parent = stat[stat.rindex(")") + 2:].split()[:2]
        if state != "Z":
            found[int(folder.name)] = (int(parent), words)
    return found


class Gateway:
    """One gateway process on a state directory; `start()` again is another one on the same."""

    def __init__(self, state, *options, replicas=1, ranks=1, model=MODEL, env=None, binary=BINARY, auth=False,
                 start=True):
        self.state = Path(state)
        self.key = self.make_key("tester", *ALL_SCOPES) if auth else None
        self.words = [binary, "serve", "--model", model, "--model-name", "smollm2", "--state", self.state, "--port", 0,
                      "--replicas", replicas, "--ranks", ranks, "--threads", 1, *options]
        self.words += [] if auth else ["--no-auth"]
        self.env = {**os.environ, **(env or {})}
        self.log = self.state.with_suffix(".log")
        self.process, self.url = None, None
        if start:
            self.start()
            assert self.url.startswith("http://127.0.0.1:"), self.logged()

    def start(self, env=None):
        """Until it listens, or has ended."""
        self.url = None
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(list(map(str, self.words)), stdout=subprocess.PIPE, stderr=log,
                                            env={**self.env, **(env or {})}, text=True)
        self.url = self.process.stdout.readline().strip() or None

    def make_key(self, tenant, *options):
        """A new API key of the state directory."""
        words = [BINARY, "state", "key", "add", "--state", self.state, "--tenant", tenant, *options]
        return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stdout.strip()

    def headers(self, more=None):
        return {**({"Authorization": f"Bearer {self.key}"} if self.key else {}), **(more or {})}

    def logged(self):
        return self.log.read_text(errors="replace")[-4000:]

    def ask(self, path, body=None, method=None, headers=None, timeout=60):
        """The JSON of an answer; urllib's HTTPError for a status of 400 or more."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=self.headers(headers))
        if data is not None:
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.loads(answer.read())

    def events(self, body, path="/v1/completions", headers=None, timeout=120):
        """(event id, data) of a stream, until [DONE]."""
        request = urllib.request.Request(self.url + path, data=json.dumps({**body, "stream": True}).encode(),
                                         headers=self.headers({"Content-Type": "application/json", **(headers or {})}))
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            yield from read_events(answer)

    def status(self):
        return self.ask("/v1/lockstep/status")

    def wait_ready(self, replicas=1, timeout=60):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                ready = [r for r in self.status()["replicas"] if r["state"] == "ready"]
            except (urllib.error.URLError, ConnectionError):
                ready = []
            if len(ready) >= replicas:
                return
            assert self.process.poll() is None, self.logged()
            time.sleep(0.02)
        raise AssertionError(f"{replicas} replicas were not ready in {timeout} s:\n{self.logged()}")

    def workers(self):
        """[(pid, replica's key file, rank)] of the processes that compute for this gateway."""
        found = []
        for pid, (_, words) in processes().items():
            if len(words) > 1 and words[1] == "worker" and self.replicas_at() in words:
                rank = int(environment(pid).get("OMPI_COMM_WORLD_RANK", 0))
                found.append((pid, words[words.index("--key-file") + 1], rank))
        return sorted(found, key=lambda one: (one[1], one[2]))

    def replicas_at(self):
        return (self.state / "replica.endpoint").read_text().strip()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, timeout=60):
        """A clean end; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout)
        self.process.stdout.close()
        return status

    def close(self):
        """Whatever happened: nothing of it runs any more."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pid, _, _ in self.workers():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def read_events(lines):
    """(id, data) of the events of a stream of lines, until [DONE]; ConnectionError when it ends before."""
    event_id, data = None, []
    for raw in lines:
        line = raw.decode().rstrip("\r\n")
        if line.startswith("id:"):
            event_id = line[3:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].strip())
        elif not line and data:
            text, data = "\n".join(data), []
            if text == "[DONE]":
                return
            yield event_id, json.loads(text)
    raise ConnectionError("the stream broke off")


def run_alone(prompt_ids, max_tokens, **sampling):
    """What one process says to the same request: the undisturbed answer."""
    words = [BINARY, "run", "--model", MODEL, "--prompt-ids", ",".join(map(str, prompt_ids)), "--json",
             "--max-tokens", max_tokens]
    for name, value in sampling.items():
        words += ["--" + re.sub("_", "-", name)] + ([] if value is True else [value])
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)

"""Starts a server that is measured, waits until it answers, and loads it with `lockstep bench serve`."""
import contextlib
import json
import socket
import subprocess
import tempfile
from pathlib import Path

from programs import ROOT, run, word

READY_S = 120
REQUESTS, PROMPT, GEN = 32, 128, 64


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(command):
    """The process of a server for as long as the block lasts; what it said is shown if it ends before."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([word(w) for w in command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            died = process.poll()
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if died is not None:
            log.seek(0)
            raise SystemExit(f"exit {died}: {command[0]}\n{log.read()[-2000:].decode(errors='replace')}")


def llama_server(peer, gguf, threads, port, slots=REQUESTS):
    """llama.cpp's server with room for `slots` answers at once; it keeps no prompt for later."""
    context = slots * (PROMPT + GEN + 16)  # A slot holds an even share, and stops when it is full.
    return [peer.program("llama-server"), "-m", gguf, "-t", threads, "-tb", threads, "-np", slots, "-cb", "-c", context,
            "--no-cache-prompt", "--cache-ram", 0, "--host", "127.0.0.1", "--port", port]


def lockstep_serve(ours, store, threads, state, port):
    """Ours as a user would start it on one machine: one replica, durable, without keys."""
    return [ours.binary, "serve", "--model", store, "--model-name", "model", "--state", state, "--port", port,
            "--no-auth", "--threads", threads]


def load(binary, port, tokenizer, requests=REQUESTS, seed=0):
    """The result of as many requests at once: the keys of `vllm bench serve`. Another seed gives other prompts."""
    out = run([Path(binary), "bench", "serve", "--port", port, "--model", "model", "--tokenizer", tokenizer,
               "--random-input-len", PROMPT, "--random-output-len", GEN, "--temperature", 0, "--num-prompts", requests,
               "--max-concurrency", requests, "--ready-check-timeout-sec", READY_S, "--seed", seed, "--json"])
    found = json.loads(out)
    if found["failed"]:
        raise SystemExit(f"{found['failed']} of {found['num_prompts']} requests failed")
    return found


def output_speed(command_of, binary, tokenizer, requests=REQUESTS):
    """Tokens of answers per second of the server that `command_of(port)` starts."""
    port = free_port()
    with running(command_of(port)):
        load(binary, port, tokenizer, requests, seed=1)  # Warms up; a prefix cache gains nothing from it.
        return load(binary, port, tokenizer, requests)["output_throughput"]

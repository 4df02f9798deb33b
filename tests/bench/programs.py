"""Starts the programs that are measured, on the same two cores, and keeps what they said."""
import json
import os
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MPI = ["mpirun", "--oversubscribe", "--bind-to", "none", "--mca", "btl", "self,vader", "-n"]
MPI_ENV = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def distinct_cores(count, mask=None):
    """The first processors of the affinity mask that share no core."""
    seen, chosen = set(), []
    for cpu in sorted(mask or os.sched_getaffinity(0)):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = siblings.read_text() if siblings.exists() else str(cpu)
        if core not in seen:
            seen.add(core)
            chosen.append(cpu)
    return chosen[:count]


def word(argument):
    """Paths of the repository relative to its root, where all commands run: results name no machine's folders."""
    if isinstance(argument, Path) and argument.is_relative_to(ROOT):
        return str(argument.relative_to(ROOT))
    return str(argument)


def run(command):
    """Standard output of a command that must succeed."""
    words = [word(argument) for argument in command]
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, **MPI_ENV}, text=True, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"exit {done.returncode}: {' '.join(words)}\n{done.stderr[-2000:]}")
    return done.stdout


class Lockstep:
    def __init__(self, binary):
        self.binary = Path(binary)

    def json(self, *arguments, ranks=None):
        launcher = [*MPI, ranks] if ranks else []
        return json.loads(run([*launcher, self.binary, *arguments, "--json"]))

    def speed(self, store, threads, prompt=0, gen=0, depths="0", ranks=None):
        """Rows of one run each, as llama-bench's."""
        return self.json("bench", "--model", store, "-p", prompt, "-n", gen, "-d", depths, "-t", threads, "-r", 1,
                         ranks=ranks)

    def machine(self, store, threads):
        found = self.json("bench", "machine", "--model", store, "-t", threads)
        return {**found, **found["results"][0]}

    def look(self):
        """What every processor gets done at this moment, each at two kinds of work."""
        return [speed for processor in self.json("bench", "machine", "--look")["processors"]
                for speed in processor.values()]

    def seconds_to_first_token(self, store, prompt_ids, threads):
        """From before the process is started until its first byte of text."""
        words = [self.binary, "run", "--model", store, "--prompt-ids", ",".join(map(str, prompt_ids)),
                 "--max-tokens", 1, "--ignore-eos", "--threads", threads]
        start = time.monotonic()
        with subprocess.Popen([word(w) for w in words], cwd=ROOT, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as process:
            first = process.stdout.read(1)
            seconds = time.monotonic() - start
            process.stdout.read()
        if not first or process.returncode != 0:
            raise SystemExit(f"no first token: exit {process.returncode}")
        return seconds

    def seconds_to_import(self, gguf, store):
        start = time.monotonic()
        run([self.binary, "shard", gguf, "--out", store])
        return time.monotonic() - start


class MeasuredPeer:
    """llama.cpp's programs; every answer is kept as it came."""

    def __init__(self, peer):
        self.peer = peer
        self.raw = []

    def _run(self, name, *arguments):
        out = run([self.peer.program(name), *arguments])
        self.raw.append({"command": [name, *map(word, arguments)], "stdout": out})
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def speed(self, gguf, threads, prompt=0, gen=0):
        (row,) = self._run("llama-bench", "-m", gguf, "-p", prompt, "-n", gen, "-t", threads, "-r", 1,
                           "-o", "jsonl")
        return row["avg_ts"]

    def batch(self, gguf, threads, sequences, prompt, gen, flash_attention):
        """Prompt and generated tokens of all sequences per second: the column `S t/s`."""
        context = sequences * (prompt + gen)
        (row,) = self._run("llama-batched-bench", "-m", gguf, "-c", context, "-npp", prompt, "-ntg", gen,
                           "-npl", sequences, "-t", threads, "-fa", flash_attention, "--output-format", "jsonl")
        return row["speed"]

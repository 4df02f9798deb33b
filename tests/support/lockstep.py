"""Runs the program under test, and keeps the stores that the model tests share."""

import fcntl
import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("LOCKSTEP_BINARY") or REPOSITORY / "build/release/lockstep").resolve()
SHARED = Path(os.environ.get("LOCKSTEP_SHARED_DIR") or REPOSITORY.parent / "shared").resolve()
MODELS = Path(os.environ.get("LOCKSTEP_MODELS") or REPOSITORY / "build/models").resolve()
GGUF = MODELS / "SmolLM2-135M-Instruct.Q4_1.gguf"
GOLDEN = REPOSITORY / "tests/model/golden"

USAGE, BAD_DATA, NO_INPUT, UNAVAILABLE, IO_ERROR, TRY_AGAIN = 64, 65, 66, 69, 74, 75


def needs_shared(path):
    """A file of the shared folder, or a skip that says which is missing."""
    full = SHARED / path
    if not full.exists():
        pytest.skip(f"no shared data: {path} (LOCKSTEP_SHARED_DIR)")
    return full


def golden(name):
    return json.loads((GOLDEN / name).read_text())


def run(*args, timeout=300, env=None, launcher=(), stdin=subprocess.DEVNULL):
    """Runs `lockstep args`; returns the finished process with text output. A death by signal fails
    the test.
    """
    if not BINARY.exists():
        pytest.fail(f"no program at {BINARY}: run `make build`, or set LOCKSTEP_BINARY")
    command = [*launcher, str(BINARY), *map(str, args)]
    done = subprocess.run(
        command,
        timeout=timeout,
        env=environment(env),
        stdin=stdin,
        text=True,
        capture_output=True,
        errors="replace",
    )
    assert done.returncode >= 0, (
        f"killed by signal {-done.returncode}: {command}\n{done.stderr[-2000:]}"
    )
    return done


def run_tool(command, env=None, timeout=300):
    """Runs a test tool, under mpirun or not, and returns its standard output."""
    done = subprocess.run(
        command, timeout=timeout, env=environment(env), text=True, capture_output=True
    )
    assert done.returncode == 0, f"exit {done.returncode}: {command}\n{done.stderr[-2000:]}"
    return done.stdout


def environment(more=None):
    """The tests' own settings are none of the program's."""
    own = (
        "BINARY",
        "SHARED_DIR",
        "MODELS",
        "LONG",
        "SOURCE_DIR",
        "BUILD_DIR",
        "NODE",
        "NODE_MODULES",
    )
    own = {"LOCKSTEP_" + name for name in own}
    return {**{k: v for k, v in os.environ.items() if k not in own}, **(more or {})}


def run_ok(*args, **options):
    done = run(*args, **options)
    assert done.returncode == 0, f"exit {done.returncode}: {done.args}\n{done.stderr[-2000:]}"
    return done


def run_json(*args, **options):
    """Runs a subcommand with --json; its standard output must be exactly one JSON document."""
    return json.loads(run_ok(*args, "--json", **options).stdout)


def flags(**options):
    """`max_tokens=8, ignore_eos=True, ids=[1, 2]` as a command line; None leaves a flag out."""
    out = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        out.append("--" + name.replace("_", "-"))
        if value is not True:
            out.append(",".join(map(str, value)) if isinstance(value, (list, tuple)) else value)
    return out


def generate(store, *more, launcher=(), env=None, timeout=300, **options):
    """What `lockstep run --json` prints; options as of flags()."""
    command = ["run", "--model", store, *flags(**options), *more]
    return run_json(*command, launcher=launcher, env=env, timeout=timeout)


def refused(*args, code, naming=(), **options):
    """Runs what must be refused: with one of the exit codes, nothing on standard output, and a
    message naming things.
    """
    done = run(*args, **options)
    codes = code if isinstance(code, (tuple, set, list)) else (code,)
    assert done.returncode in codes, (
        f"exit {done.returncode}, expected {codes}: {done.args}\n{done.stderr[-2000:]}"
    )
    for name in [naming] if isinstance(naming, str) else naming:
        assert name in done.stderr, f"no {name!r} in: {done.stderr[-2000:]}"
    assert done.stderr.strip(), f"refused without a word: {done.args}"
    return done


def mpirun(ranks, *more):
    """The launcher for `ranks` processes on this machine, as the Makefile uses it."""
    return [
        "mpirun",
        "--oversubscribe",
        "--bind-to",
        "none",
        "--mca",
        "btl",
        "self,vader",
        "-n",
        str(ranks),
        *more,
    ]


MPI_ENV = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


@cache
def devices():
    """Names of the CPU devices that this machine has."""
    listed = run_json("doctor")["devices"]
    return tuple(d["name"] for d in listed if d["available"] and d["name"] in CPU_DEVICES)


CPU_DEVICES = ("cpu:reference", "cpu:avx2", "cpu:avx512vnni")


def need_device(name):
    if name not in devices():
        pytest.skip(f"this machine has no {name}")


def fast_device():
    return devices()[-1]


def smollm2(activation_bits=16, kv_bits=16, parts=None):
    """The real model's store with this profile; made when missing or older than the program."""
    profile = (activation_bits, kv_bits, parts)
    if profile == (16, 16, None) and _fresh(MODELS / "smollm2"):
        return MODELS / "smollm2"
    name = f"smollm2-a{activation_bits}k{kv_bits}" + (f"-p{parts}" if parts else "")
    if not GGUF.exists():
        pytest.fail(f"no model at {GGUF}: run `make model`")
    flags = ["--activation-bits", activation_bits, "--kv-bits", kv_bits] + (
        ["--parts", parts] if parts else []
    )
    return shard(GGUF, MODELS / name, *flags)


def shard(gguf, directory, *flags):
    """Imports into `directory` unless a store newer than the program and the source lies there
    already.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.parent / f".{directory.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _fresh(directory, Path(gguf)):
            shutil.rmtree(directory, ignore_errors=True)
            run_ok("shard", gguf, "--out", directory, *flags)
    return directory


def _fresh(directory, *sources):
    """A store made by an older program may hide what a newer importer does wrong."""
    manifest = directory / "manifest.json"
    made = manifest.stat().st_mtime if manifest.exists() else 0
    return all(made > s.stat().st_mtime for s in (BINARY, *sources) if s.exists())

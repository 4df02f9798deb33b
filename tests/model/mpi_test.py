"""Ranks as processes give what ranks as threads give, and fast enough to read along."""

import statistics

import pytest

from support import lockstep
from support.lockstep import MPI_ENV, USAGE, mpirun, refused, run_json

VECTOR = next(v for v in lockstep.golden("smollm2.json")["vectors"] if v["name"] == "a1")
FLAGS = [
    "--max-tokens",
    len(VECTOR["token_ids"]),
    "--ignore-eos",
    *lockstep.ids_flag(VECTOR["prompt_ids"]),
]
COMPARED = (
    "token_ids",
    "token_digests",
    "trace_root",
    "output_hash",
    "result_hash",
    "text",
    "finish_reason",
    "steps",
    "computed_tokens",
)


@pytest.fixture(scope="module")
def threads():
    return run_json("run", "--model", lockstep.smollm2(), *FLAGS, "--ranks", 1)


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_processes_equal_threads(threads, ranks):
    got = run_json(
        "run", "--model", lockstep.smollm2(), *FLAGS, launcher=mpirun(ranks), env=MPI_ENV
    )
    for key in COMPARED:
        assert got[key] == threads[key], key
    assert got["trace_root"] == VECTOR["trace_root"]
    assert len(got["ranks"]) == ranks


def test_sampling_too():
    store = lockstep.smollm2()
    flags = [
        *FLAGS,
        "--temperature",
        0.9,
        "--seed",
        11,
        "--top-p",
        0.95,
        "--repetition-penalty",
        1.2,
    ]
    got = run_json("run", "--model", store, *flags, launcher=mpirun(2), env=MPI_ENV)
    alone = run_json("run", "--model", store, *flags)
    assert {k: got[k] for k in COMPARED} == {k: alone[k] for k in COMPARED}


def test_ranks_must_agree():
    store = lockstep.smollm2()
    refused(
        "run",
        "--model",
        store,
        *FLAGS,
        "--ranks",
        3,
        launcher=mpirun(2),
        env=MPI_ENV,
        code=USAGE,
        naming="--ranks",
    )
    run_json("run", "--model", store, *FLAGS, "--ranks", 2, launcher=mpirun(2), env=MPI_ENV)


def test_error_is_told_once_and_ends_all_ranks(tmp_path):
    done = refused(
        "run",
        "--model",
        tmp_path / "nowhere",
        *FLAGS,
        launcher=mpirun(3),
        env=MPI_ENV,
        code=lockstep.NO_INPUT,
        naming="nowhere",
    )
    assert (
        sum("nowhere" in line and "lockstep" in line for line in done.stderr.splitlines()) == 1
    ), done.stderr


def test_three_ranks_stream_faster_than_one_reads():
    """Promised: 20 tokens/s with 3 ranks on 2 cores; asserted at a quarter."""
    speeds = []
    for _ in range(2):
        got = run_json(
            "run",
            "--model",
            lockstep.smollm2(),
            "--prompt",
            "Once upon a time",
            "--max-tokens",
            48,
            "--ignore-eos",
            launcher=mpirun(3),
            env=MPI_ENV,
        )
        speeds.append(got["decode_tokens_per_s"])
    print(f"\n3 ranks: {statistics.median(speeds):.1f} tokens/s of decoding (runs: {speeds})")
    assert max(speeds) >= 20 / 4

"""Ranks as processes give what ranks as threads give, and fast enough to read along."""

import statistics

import pytest

from support import lockstep
from support.lockstep import MPI_ENV, USAGE, flags, generate, mpirun, refused

VECTOR = next(v for v in lockstep.golden("smollm2.json")["vectors"] if v["name"] == "a1")
OPTIONS = dict(
    prompt_ids=VECTOR["prompt_ids"], max_tokens=len(VECTOR["token_ids"]), ignore_eos=True
)
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
    return generate(lockstep.smollm2(), ranks=1, **OPTIONS)


def by_mpi(processes, **options):
    return generate(lockstep.smollm2(), launcher=mpirun(processes), env=MPI_ENV, **options)


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_processes_equal_threads(threads, ranks):
    got = by_mpi(ranks, **OPTIONS)
    for key in COMPARED:
        assert got[key] == threads[key], key
    assert got["trace_root"] == VECTOR["trace_root"]
    assert len(got["ranks"]) == ranks


def test_sampling_too():
    options = dict(temperature=0.9, seed=11, top_p=0.95, repetition_penalty=1.2, **OPTIONS)
    got, alone = by_mpi(2, **options), generate(lockstep.smollm2(), **options)
    assert {k: got[k] for k in COMPARED} == {k: alone[k] for k in COMPARED}


def refused_by_mpi(processes, model, code, naming, **options):
    command = ["run", "--model", model, *flags(**OPTIONS, **options)]
    return refused(*command, launcher=mpirun(processes), env=MPI_ENV, code=code, naming=naming)


def test_ranks_must_agree():
    refused_by_mpi(2, lockstep.smollm2(), USAGE, "--ranks", ranks=3)
    by_mpi(2, ranks=2, **OPTIONS)


def test_error_is_told_once_and_ends_all_ranks(tmp_path):
    done = refused_by_mpi(3, tmp_path / "nowhere", lockstep.NO_INPUT, "nowhere")
    told = [line for line in done.stderr.splitlines() if "lockstep" in line and "nowhere" in line]
    assert len(told) == 1, done.stderr


def test_three_ranks_stream_faster_than_one_reads():
    """Promised: 20 tokens/s with 3 ranks on 2 cores; asserted at a quarter."""
    speeds = []
    for _ in range(2):
        got = by_mpi(3, prompt="Once upon a time", max_tokens=48, ignore_eos=True)
        speeds.append(got["decode_tokens_per_s"])
    print(f"\n3 ranks: {statistics.median(speeds):.1f} tokens/s of decoding (runs: {speeds})")
    assert max(speeds) >= 20 / 4

"""One answer over MPI processes: greedy and sampled, alone and batched, prefix computed and cached, for several world
sizes, chunks, threads and both transports, all equal to one thread of one process."""

import json

import pytest

from support import lockstep
from support.lockstep import MPI_ENV, REPOSITORY, mpirun, run_tool

TOOL = REPOSITORY / "build/release/tests/one_answer_tool"
TOKENS = 8
GREEDY_TRACE = next(
    v for v in lockstep.golden("smollm2.json")["vectors"] if v["name"] == "a1"
)["trace_root"]


def answers(chunk, threads, transport="auto", launcher=(), model=None):
    command = [TOOL, model or lockstep.smollm2(), chunk, threads, "cpu", transport, TOKENS]
    output = run_tool([*launcher, *map(str, command)], env=MPI_ENV)
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(scope="module")
def alone():
    """By whether it was sampled: the answer of one thread, nobody else there, nothing cached."""
    lines = answers(chunk=512, threads=1)
    return {a["sampled"]: a for a in lines if not a["batched"] and not a["cached"]}


@pytest.mark.parametrize(
    "ranks, chunk, threads, transport",
    [
        (1, 512, 1, "auto"),
        (2, 64, 2, "auto"),
        (3, 7, 1, "auto"),
        (3, 512, 1, "mpi"),
        (5, 512, 1, "auto"),
        (5, 1, 1, "mpi"),
    ],
)
def test_processes_give_one_answer(alone, ranks, chunk, threads, transport):
    lines = answers(chunk, threads, transport, launcher=mpirun(ranks))
    assert len(lines) == 8
    for answer in lines:
        want = alone[answer["sampled"]]
        assert answer["ranks"] == ranks
        assert answer["token_ids"] == want["token_ids"], answer
        assert answer["trace_root"] == want["trace_root"], answer
        assert answer["result_hash"] == want["result_hash"], answer
        assert answer["cached_tokens"] == (32 if answer["cached"] else 0)


def test_greedy_answer_is_golden(alone):
    assert alone[False]["trace_root"] == GREEDY_TRACE


@pytest.mark.long
@pytest.mark.parametrize("profile", [(16, 16), (16, 8), (8, 16), (8, 8)])
@pytest.mark.parametrize("transport", ["shm", "mpi"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("chunk", [1, 7, 64, 512])
@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_full_product(ranks, chunk, threads, transport, profile):
    model = lockstep.smollm2(*profile)
    want = {
        a["sampled"]: a
        for a in answers(512, 1, model=model)
        if not a["batched"] and not a["cached"]
    }
    for answer in answers(chunk, threads, transport, mpirun(ranks), model):
        assert answer["result_hash"] == want[answer["sampled"]]["result_hash"], answer

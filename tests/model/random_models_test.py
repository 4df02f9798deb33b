"""Random small models: every device, world size and chunk gives what the oracle said for the same
file.

Goldens stand in golden/random_models.json (made by support/oracle.py); where the shared folder is
there, a difference is explained by running the oracle itself.
"""

import hashlib

import pytest

from support import identifiers, lockstep, oracle
from support.random_model import Case, Draw

GOLDEN = lockstep.golden("random_models.json")
QUICK = (
    10,
    12,
    34,
    38,
)  # One of each profile; 6, 7, 9 and 9 parts; all formats, RoPE factors, penalties.
SEEDS = [pytest.param(int(s), marks=() if int(s) in QUICK else pytest.mark.long) for s in GOLDEN]
COMPARED = ("layer_digests", "token_digests", "token_ids", "trace_root", "output_hash")


@pytest.mark.parametrize("seed", SEEDS)
def test_engine_equals_oracle(seed, tmp_path):
    case, expected = Case(seed), GOLDEN[str(seed)]
    raw = case.gguf().to_bytes()
    assert hashlib.sha256(raw).hexdigest() == expected["gguf_sha256"], (
        "the generator has changed: make the goldens again"
    )
    (tmp_path / "model.gguf").write_bytes(raw)
    store = lockstep.shard(tmp_path / "model.gguf", tmp_path / "store", *case.shard_flags())
    about = lockstep.run_json("inspect", store)
    assert about["weights_root"] == identifiers.weights_root(case.gguf()).hex(), f"seed {seed}"
    draw, devices = Draw("run", seed), lockstep.devices()
    for ranks in range(1, case.stored_parts + 1):
        device, threads = devices[(seed + ranks) % len(devices)], 1 + draw.below(2)
        chunk = case.chunk if ranks == 1 else draw.choice([1, 7, 16, 64, 512])
        options = dict(ranks=ranks, device=device, threads=threads, chunk=chunk, trace="layers")
        got = lockstep.generate(store, *case.run_flags(), **options)
        where = f"seed {seed}: {ranks} ranks of {case.stored_parts} parts, {device}, "
        where += f"threads {threads}, chunk {chunk}"
        for key in COMPARED:
            assert got[key] == expected[key], f"{where}: {key}{live_difference(case, key, got)}"


def live_difference(case, key, got):
    if not oracle.available():
        return ""
    live = oracle.expect(case)[key]
    return (
        " (the oracle now agrees with the engine: the golden is stale)"
        if live == got[key]
        else f"; oracle: {live}"
    )


@pytest.mark.parametrize(
    "seed", [pytest.param(s, marks=() if s == 12 else pytest.mark.long) for s in QUICK]
)
def test_goldens_are_the_oracles(seed):
    lockstep.needs_shared("oracle/numerics_oracle.py")
    assert oracle.expect(Case(seed)) == GOLDEN[str(seed)]

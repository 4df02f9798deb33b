"""The engine gives, bit for bit, what an independent implementation of numerics.md says for the
real model.

The goldens were made by the oracle of the shared folder (support/oracle.py), never by the program
itself.
"""

import pytest

from support import identifiers, lockstep, oracle
from support.sampling import Sampling

GOLDEN = lockstep.golden("smollm2.json")
VECTORS = {v["name"]: v for v in GOLDEN["vectors"]}
LONG_PROMPTS = [name for name, v in VECTORS.items() if len(v["prompt_ids"]) > 100]


def slow(name, device):
    """The scalar reference takes minutes for long prompts and for sampled runs: their arithmetic is
    that of the others.
    """
    return device == "cpu:reference" and (name in LONG_PROMPTS or name.startswith("b"))


CASES = [
    pytest.param(name, device, marks=pytest.mark.long if slow(name, device) else ())
    for name in VECTORS
    for device in lockstep.CPU_DEVICES
]


def run_vector(vector, device, *flags, store=None):
    parts = None if vector["parts"] == 9 else vector["parts"]
    store = store or lockstep.smollm2(vector["activation_bits"], vector["kv_bits"], parts)
    sampling = Sampling(
        **{**vector["sampling"], "temperature": float(vector["sampling"]["temperature"])}
    )
    return lockstep.run_json(
        "run",
        "--model",
        store,
        "--device",
        device,
        *lockstep.ids_flag(vector["prompt_ids"]),
        *sampling.flags(),
        "--max-tokens",
        len(vector["token_ids"]),
        "--ignore-eos",
        *flags,
        timeout=600,
    )


def assert_equal(got, vector):
    assert got["token_ids"] == vector["token_ids"]
    assert got["token_digests"] == vector["token_digests"]
    assert got["trace_root"] == vector["trace_root"]
    assert got["output_hash"] == vector["output_hash"]
    assert got["finish_reason"] == "length"


@pytest.mark.parametrize("name, device", CASES)
def test_engine_equals_oracle(name, device):
    lockstep.need_device(device)
    vector = VECTORS[name]
    got = run_vector(vector, device, "--trace", "layers" if vector["layer_digests"] else "logits")
    if vector["layer_digests"]:
        differs = [
            i
            for i, (a, b) in enumerate(zip(got["layer_digests"], vector["layer_digests"]))
            if a != b
        ]
        assert not differs, (
            f"first layer that differs: {differs[0]} of {len(vector['layer_digests'])}"
        )
        assert len(got["layer_digests"]) == len(vector["layer_digests"])
    assert_equal(got, vector)
    assert got["device"] == device


@pytest.mark.parametrize("ranks", [1, 2, 3, 9])
def test_world_size_changes_nothing(ranks):
    vector = VECTORS["a1"]
    assert_equal(run_vector(vector, lockstep.fast_device(), "--ranks", ranks), vector)


def test_end_token_stops_and_is_counted():
    vector = VECTORS["a1"]
    assert vector["token_ids"][-1] == 2
    got = lockstep.run_json(
        "run",
        "--model",
        lockstep.smollm2(),
        *lockstep.ids_flag(vector["prompt_ids"]),
        "--max-tokens",
        20,
    )
    assert got["token_ids"] == vector["token_ids"]
    assert got["trace_root"] == vector["trace_root"]
    assert got["finish_reason"] == "stop"
    assert got["output_hash"] == identifiers.output_hash(vector["token_ids"], "stop").hex()
    assert got["text"] == "The capital of France is Paris."


def test_limit_on_the_end_token_is_a_stop():
    vector = VECTORS["a1"]
    got = lockstep.run_json(
        "run",
        "--model",
        lockstep.smollm2(),
        *lockstep.ids_flag(vector["prompt_ids"]),
        "--max-tokens",
        len(vector["token_ids"]),
    )
    assert got["finish_reason"] == "stop"


def test_result_hash_is_the_one_computed_by_hand():
    """From the page's definitions: off chain, no ledger, job and prices 0."""
    vector, store = VECTORS["b1"], lockstep.smollm2()
    got = run_vector(vector, lockstep.fast_device())
    sampling = Sampling(**vector["sampling"])
    count = len(vector["token_ids"])
    about = lockstep.run_json("inspect", store)
    spec = identifiers.spec_hash(
        bytes.fromhex(about["model_id"]),
        identifiers.sampling_hash(sampling, count, 8192, ignore_eos=True),
        identifiers.prompt_hash(vector["prompt_ids"]),
        len(vector["prompt_ids"]),
        count,
    )
    expected = identifiers.result_hash(
        identifiers.job_id(),
        spec,
        bytes.fromhex(vector["output_hash"]),
        bytes.fromhex(vector["trace_root"]),
    )
    assert got["result_hash"] == expected.hex()


def test_trace_of_tokens_has_no_digests():
    vector = VECTORS["a1"]
    got = run_vector(vector, lockstep.fast_device(), "--trace", "tokens")
    assert got["token_ids"] == vector["token_ids"]
    assert (
        got["trace_root"]
        == identifiers.trace_root(vector["prompt_ids"], vector["token_ids"], None).hex()
    )
    assert all(set(d) == {"0"} for d in got["token_digests"])


@pytest.mark.parametrize("bits", [(16, 16), (8, 8)])
def test_weights_root_depends_on_the_weights_alone(bits):
    assert (
        lockstep.run_json("inspect", lockstep.smollm2(*bits))["weights_root"]
        == GOLDEN["weights_root"]
    )


def test_goldens_are_the_oracles():
    lockstep.needs_shared("oracle/vectors.json")
    assert oracle.vector_goldens() == GOLDEN

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


def run_vector(vector, device, trace=None, ranks=None):
    parts = None if vector["parts"] == 9 else vector["parts"]
    store = lockstep.smollm2(vector["activation_bits"], vector["kv_bits"], parts)
    prompt, tokens = vector["prompt_ids"], len(vector["token_ids"])
    options = dict(device=device, trace=trace, ranks=ranks, max_tokens=tokens, ignore_eos=True)
    return lockstep.generate(
        store, *sampling_of(vector).flags(), prompt_ids=prompt, timeout=600, **options
    )


def sampling_of(vector):
    return Sampling(**vector["sampling"])


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
    got = run_vector(vector, device, trace="layers" if vector["layer_digests"] else "logits")
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
    assert_equal(run_vector(vector, lockstep.fast_device(), ranks=ranks), vector)


def test_end_token_stops_and_is_counted():
    vector = VECTORS["a1"]
    assert vector["token_ids"][-1] == 2
    got = lockstep.generate(lockstep.smollm2(), prompt_ids=vector["prompt_ids"], max_tokens=20)
    assert got["token_ids"] == vector["token_ids"]
    assert got["trace_root"] == vector["trace_root"]
    assert got["finish_reason"] == "stop"
    assert got["output_hash"] == identifiers.output_hash(vector["token_ids"], "stop").hex()
    assert got["text"] == "The capital of France is Paris."


def test_limit_on_the_end_token_is_a_stop():
    vector = VECTORS["a1"]
    tokens = len(vector["token_ids"])
    got = lockstep.generate(lockstep.smollm2(), prompt_ids=vector["prompt_ids"], max_tokens=tokens)
    assert got["finish_reason"] == "stop"


def test_result_hash_is_the_one_computed_by_hand():
    """From the page's definitions: off chain, no ledger, job and prices 0."""
    vector = VECTORS["b1"]
    prompt, count = vector["prompt_ids"], len(vector["token_ids"])
    model_id = lockstep.run_json("inspect", lockstep.smollm2())["model_id"]
    sampling = identifiers.sampling_hash(sampling_of(vector), count, 8192, ignore_eos=True)
    spec = identifiers.spec_hash(
        bytes.fromhex(model_id), sampling, identifiers.prompt_hash(prompt), len(prompt), count
    )
    output, trace = (bytes.fromhex(vector[key]) for key in ("output_hash", "trace_root"))
    expected = identifiers.result_hash(identifiers.job_id(), spec, output, trace)
    assert run_vector(vector, lockstep.fast_device())["result_hash"] == expected.hex()


def test_trace_of_tokens_has_no_digests():
    vector = VECTORS["a1"]
    got = run_vector(vector, lockstep.fast_device(), trace="tokens")
    expected = identifiers.trace_root(vector["prompt_ids"], vector["token_ids"], None)
    assert got["token_ids"] == vector["token_ids"]
    assert got["trace_root"] == expected.hex()
    assert all(set(d) == {"0"} for d in got["token_digests"])


@pytest.mark.parametrize("bits", [(16, 16), (8, 8)])
def test_weights_root_depends_on_the_weights_alone(bits):
    about = lockstep.run_json("inspect", lockstep.smollm2(*bits))
    assert about["weights_root"] == GOLDEN["weights_root"]


def test_goldens_are_the_oracles():
    lockstep.needs_shared("oracle/vectors.json")
    assert oracle.vector_goldens() == GOLDEN

"""The right answer: the engine's next-token distributions on real text are those of a float64
forward pass.

The reference reads the GGUF file alone and quantizes nothing; it shares no code with the program.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from support import lockstep
from support.byte_bpe import ByteBpe
from support.float_llama import FloatLlama, llama_from_gguf
from support.gguf_file import GgufFile

TEXT = "data/text/wikitext-2-test.txt"
WINDOW, COMPARED_WINDOWS = 512, 2  # 1,022 predictions.
VOCAB = 49152
# Mean Kullback-Leibler divergence per token that each profile may have, in nats.
LIMITS = {(16, 16): 2e-5, (16, 8): 1e-3, (8, 8): 6e-3}


@pytest.fixture(scope="module")
def gguf():
    return GgufFile.read(lockstep.GGUF)


@pytest.fixture(scope="module")
def weights(gguf):
    return llama_from_gguf(gguf, np.float64)


@pytest.fixture(scope="module")
def windows(gguf):
    """Token ids of the text's first windows, by the tests' own encoder; no BOS."""
    text = lockstep.needs_shared(TEXT).read_text()
    ids = ByteBpe(gguf).encode(text[: 16 * WINDOW])
    assert len(ids) >= COMPARED_WINDOWS * WINDOW
    return [ids[i * WINDOW : (i + 1) * WINDOW] for i in range(COMPARED_WINDOWS)]


@pytest.fixture(scope="module")
def reference(weights, windows):
    """Float64 log-probabilities of every prediction, a window at a time: 511 rows each."""
    return [log_softmax(FloatLlama(weights).logits(w)[:-1]) for w in windows]


def log_softmax(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def perplexity(profile, count, folder):
    """What the engine says, and its logits [windows, 511, vocabulary]."""
    dump = folder / "logits.bin"
    text, store = lockstep.needs_shared(TEXT), lockstep.smollm2(*profile)
    options = dict(model=store, text=text, window=WINDOW, windows=count, dump_logits=dump)
    got = lockstep.run_json("bench", "perplexity", *lockstep.flags(**options), timeout=600)
    logits = np.fromfile(dump, "<f4").reshape(count, WINDOW - 1, VOCAB)
    dump.unlink()
    return got, logits


@pytest.fixture(scope="module")
def widest(tmp_path_factory):
    """The 16/16 profile over the four windows of the published number."""
    return perplexity((16, 16), 4, tmp_path_factory.mktemp("wide"))


def mean_kl(reference, logits, windows):
    """Mean over all predictions of KL(reference || engine), share of equal first tokens, and the
    engine's perplexity.
    """
    total, same, nll, count = 0.0, 0, 0.0, 0
    for expected, row, ids in zip(reference, logits, windows):
        got = log_softmax(row.astype(np.float64))
        total += (np.exp(expected) * (expected - got)).sum()
        same += (expected.argmax(axis=1) == row.argmax(axis=1)).sum()
        nll -= got[np.arange(WINDOW - 1), ids[1:]].sum()
        count += len(got)
    assert count >= 1000
    return total / count, same / count, np.exp(nll / count)


@pytest.mark.parametrize("profile", LIMITS)
def test_mean_kl_is_small(profile, windows, reference, widest, tmp_path):
    got, logits = widest if profile == (16, 16) else perplexity(profile, COMPARED_WINDOWS, tmp_path)
    kl, same, ppl = mean_kl(reference, logits, windows)
    print(
        f"\nprofile {profile}: mean KL {kl:.2e} (at most {LIMITS[profile]}), same first token "
        f"{same:.4f}, perplexity {ppl:.3f}"
    )
    assert 0 <= kl <= LIMITS[profile]
    if profile != (
        16,
        16,
    ):  # The program's own number is that of its logits and the tests' own tokens.
        assert got["perplexity"] == pytest.approx(ppl, rel=1e-5)


def test_perplexity_is_the_known_one(widest):
    got, _ = widest
    print(f"\n{json.dumps(got)[:400]}")
    assert got["tokens"] == 4 * (WINDOW - 1)
    assert got["perplexity"] == pytest.approx(25.494, rel=1e-3)
    assert len(got["windows"]) == 4
    assert got["windows"][0]["perplexity"] == pytest.approx(16.980, rel=1e-3)


def test_a_wrong_layer_is_outside_the_limits(weights, windows, reference):
    """One matrix off by two percent is seen, so that the limits mean something."""
    layers = list(weights.layers)
    layers[7] = {**layers[7], "down": layers[7]["down"] * 0.98}
    wrong = replace(weights, layers=layers)
    got = log_softmax(FloatLlama(wrong).logits(windows[0][:128]))
    expected = reference[0][:128]
    assert (np.exp(expected) * (expected - got)).sum(axis=1).mean() > LIMITS[(16, 16)]

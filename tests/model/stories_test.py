"""A float32 model from another world (llama2.c's stories260K) tells the same story through import,
store and engine.

The greedy tokens equal those of a plain NumPy forward pass over the checkpoint itself.
"""

import copy

import pytest

from support import lockstep, stories
from support.float_llama import greedy

STORY = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
    "One day, she saw a big, red ball."
)
PROMPTS = ("It was a sunny day", "A big dog")
# In logits. Two right engines may part where the lead is of the size of their rounding, about
# 1e-3; a prompt whose answer has such a place ("The dog was": 0.0012) would test luck.
CLEAR_LEAD = 0.02


def expected_story(weights, ids, count):
    tokens, lead = greedy(weights, ids, count)
    assert lead > CLEAR_LEAD
    return tokens


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """(checkpoint, pieces, scores, store)."""
    checkpoint = stories.read_checkpoint(lockstep.needs_shared("data/stories260k/stories260K.bin"))
    pieces, scores = stories.read_tokenizer(
        lockstep.needs_shared("data/stories260k/tok512.bin"), checkpoint.vocab
    )
    folder = tmp_path_factory.mktemp("stories")
    return checkpoint, pieces, scores, store_of(checkpoint, pieces, scores, folder)


def store_of(checkpoint, pieces, scores, folder):
    stories.to_gguf(checkpoint, pieces, scores).write(folder / "stories.gguf")
    return lockstep.shard(folder / "stories.gguf", folder / "store")


def engine(store, count, **options):
    return lockstep.generate(store, max_tokens=count, **options)


@pytest.mark.parametrize("device", lockstep.CPU_DEVICES)
@pytest.mark.parametrize("prompt", PROMPTS)
def test_story_from_text(model, prompt, device):
    lockstep.need_device(device)
    checkpoint, pieces, scores, store = model
    ids = stories.encode(pieces, scores, prompt)
    expected = expected_story(stories.rounded_weights(checkpoint), ids, 60)
    assert engine(store, 60, prompt_ids=ids, device=device)["token_ids"] == expected
    # Through the program's own SentencePiece tokenizer, BOS and leading space added as the file
    # asks.
    assert engine(store, 60, prompt=prompt, device=device)["token_ids"] == expected


def test_zeroing_one_layer_changes_the_story(model, tmp_path):
    checkpoint, pieces, scores, store = model
    broken = copy.deepcopy(checkpoint)
    for name in ("attn_output", "ffn_down"):
        broken.arrays[name][2] = 0
    expected = expected_story(stories.rounded_weights(broken), [stories.BOS], 100)
    got = engine(store_of(broken, pieces, scores, tmp_path), 100, prompt_ids=[stories.BOS])
    assert got["token_ids"] == expected
    assert got["token_ids"] != engine(store, 100, prompt_ids=[stories.BOS])["token_ids"]

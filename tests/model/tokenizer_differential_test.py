"""The tokenizer against the PyPI package `tokenizers`: the same ids for the same text, whatever the text.

The two disagree on purpose in one place only: `tokenizers` 0.23 asks Unicode 16.0 in its patterns but Unicode 17.0 when
it cuts single digits (Rust's char::is_numeric), so a few numbers that Unicode 17.0 added are left out here.
"""

import json
import os
import random
import struct
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest
from tests.support.lockstep import GGUF, MODELS, SHARED
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

TOOL = Path(os.environ.get("LOCKSTEP_TOKENIZE_TOOL")
            or MODELS.parent / "release/tests/tokenize_tool").resolve()
NUM_TEXTS = 100_000
NUM_SMALL_TEXTS = 20_000  # For each pre-tokenizer with a vocabulary trained here.

NAMES = ["gpt-2", "smollm", "starcoder", "deepseek-coder", "llama-bpe", "qwen2"]
HAVE_OWN_SCANNERS = ["gpt-2", "deepseek-coder", "llama-bpe"]  # The others share these.

LLAMA = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA.replace(r"\p{N}{1,3}", r"\p{N}")
DEEPSEEK = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"]


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def pre_tokenizer(name):
    """The published pre-tokenizer, as models that use it write it in tokenizer.json."""
    digits = pre_tokenizers.Digits(individual_digits=True)
    steps = {
        "gpt-2": [byte_level(True)],
        "smollm": [digits, byte_level(True)],
        "starcoder": [digits, byte_level(True)],
        "deepseek-coder": [*map(split, DEEPSEEK), digits, byte_level(False)],
        "llama-bpe": [split(LLAMA), byte_level(False)],
        "qwen2": [split(QWEN2), byte_level(False)],
    }
    return pre_tokenizers.Sequence(steps[name])


@lru_cache
def disputed_numbers():
    """Code points that the two Unicode versions inside `tokenizers` class differently."""
    digits = pre_tokenizers.Digits(individual_digits=True)
    numbers = split(r"\p{N}")

    def pieces(step, c):
        return len(step.pre_tokenize_str("a" + chr(c)))

    disputed = frozenset(c for c in code_points(range(0x110000))
                         if pieces(digits, c) != pieces(numbers, c))
    assert len(disputed) <= 13 and all(c >= 0x10000 for c in disputed), sorted(map(hex, disputed))
    return disputed


def code_points(candidates):
    return [c for c in candidates if not 0xD800 <= c < 0xE000]


def call_tool(vocabulary, command, records):
    """One answer, in bytes, per record."""
    if not TOOL.exists():
        pytest.fail(f"no program at {TOOL}: run `make build`, or set LOCKSTEP_TOKENIZE_TOOL")
    stdin = b"".join(struct.pack("<I", len(record)) + record for record in records)
    done = subprocess.run([TOOL, vocabulary, command], input=stdin, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    answers, position = [], 0
    while position < len(done.stdout):
        (size,) = struct.unpack_from("<I", done.stdout, position)
        answers.append(done.stdout[position + 4:position + 4 + size])
        position += 4 + size
    assert len(answers) == len(records)
    return answers


def as_ids(record):
    return list(struct.unpack(f"<{len(record) // 4}I", record))


def assert_same_ids(reference, vocabulary, texts, command="encode"):
    """`texts` are bytes; the reference sees them decoded with errors="replace"."""
    decoded = [text.decode("utf-8", errors="replace") for text in texts]
    expected = reference.encode_batch_fast(decoded, add_special_tokens=False)
    for text, want, got in zip(texts, expected, call_tool(vocabulary, command, texts), strict=True):
        assert as_ids(got) == want.ids, text


class Texts:
    """Texts that break tokenizers, drawn from a seed."""

    SPACES = [" ", " ", " ", "\n", "\t", "\r", "\r\n", "\u00a0", "\u3000", "\u2028", "\x0b", "\x85"]
    CODE = ["for (int i = 0; i < n; ++i) {", "}", "def f(x):", "return x['s']", "// it's", "==", "->", "0x1F", "a_b",
            "I'll", "WE'VE", "'\u017f", "'RE\u017f", "don't", "'Sx", "\\n", "#include <map>",
            "\u2581", "...", "\u201cq\u201d"]
    SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<repo_name>", "<|im_", "end|>", "<|", "|>"]

    def __init__(self, seed):
        self.random = random.Random(seed)
        disputed = disputed_numbers()
        planes = [(0, 0x80), (0x80, 0x600), (0x600, 0x2000), (0x2000, 0x3400), (0x3400, 0x10000),
                  (0x10000, 0x20000), (0x20000, 0x110000)]
        self.alphabets = [[chr(c) for c in code_points(range(*plane)) if c not in disputed] for plane in planes]
        path = SHARED / "data/text/wikitext-2-test.txt"
        self.prose = path.read_bytes() if path.exists() else b""
        self.kinds = [self.bytes, self.any_plane, self.one_alphabet, self.code, self.spaces, self.digits,
                      self.special, self.mixture]

    def draw(self, count):
        lines = self.prose.splitlines(keepends=True)
        texts = [line.rstrip(b"\n") if i % 2 else line for i, line in enumerate(lines)]
        texts += [b"", b" ", b"\n", b"a" * 3000, b" " * 3000, b"ab" * 3000, b"'" * 1000]
        while len(texts) < count:
            texts.append(self.kinds[len(texts) % len(self.kinds)]())
        return texts

    def several(self, alphabet, at_most):
        return "".join(self.random.choice(alphabet) for _ in range(self.random.randrange(at_most + 1)))

    def bytes(self):
        if self.prose and self.random.randrange(2):  # Prose cut at any byte, one byte of it changed.
            begin = self.random.randrange(len(self.prose))
            text = bytearray(self.prose[begin:begin + 1 + self.random.randrange(80)])
            text[self.random.randrange(len(text))] = self.random.randrange(256)
            return self.allowed(bytes(text))
        return self.allowed(self.random.randbytes(self.random.randrange(40)))

    def allowed(self, text):
        decoded = text.decode("utf-8", errors="replace")
        return b"" if any(ord(c) in disputed_numbers() for c in decoded) else text

    def any_plane(self):
        return "".join(self.random.choice(self.random.choice(self.alphabets))
                       for _ in range(self.random.randrange(30))).encode()

    def one_alphabet(self):
        return self.several(self.random.choice(self.alphabets), 40).encode()

    def code(self):
        return self.several(self.CODE + self.SPACES, 20).encode()

    def spaces(self):
        return self.several(self.SPACES + ["a", "1", ".", "\u00e9"], 30).encode()

    def digits(self):
        rare = ["\u00b2", "\u0663", "\u2167", "\u4e00", "\u00bd"]
        return self.several([*"0123456789" * 3, *" .,-x", *rare], 30).encode()

    def special(self):
        return self.several(self.SPECIAL + [" ", "user", "\n"], 8).encode()

    def mixture(self):
        return b"".join(self.random.choice(self.kinds[:-1])() for _ in range(3))


@lru_cache
def every_code_point():
    """Every code point of the planes that have characters, and every 61st of the others, between letters, digits,
    spaces and quotes; 64 to a text."""
    points = [chr(c) for c in code_points(range(0x110000))
              if c not in disputed_numbers() and (c < 0x40000 or c >> 9 == 0xE0000 >> 9 or c % 61 == 0)]
    surroundings = (("a", "b"), ("1", " "), ("'", "s"))
    return [(before + (after + before).join(points[i:i + 64]) + after).encode()
            for i in range(0, len(points), 64) for before, after in surroundings]


@pytest.fixture(scope="module")
def model():
    """The vocabulary of the downloaded model, and `tokenizers` built from that vocabulary's tokens and merges."""
    if not GGUF.exists():
        pytest.fail(f"no model at {GGUF}: run `make model`, or set LOCKSTEP_MODELS")
    if not TOOL.exists():
        pytest.fail(f"no program at {TOOL}: run `make build`, or set LOCKSTEP_TOKENIZE_TOOL")
    done = subprocess.run([TOOL, GGUF, "blob"], capture_output=True, check=True)
    blob = json.loads(done.stdout)
    return reference_of(blob), GGUF, blob


def reference_of(blob):
    vocabulary = {token: i for i, token in enumerate(blob["tokenizer.ggml.tokens"])}
    merges = [tuple(merge.split(" ")) for merge in blob["tokenizer.ggml.merges"]]
    name = blob["tokenizer.ggml.pre"]
    reference = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=name == "llama-bpe"))
    reference.pre_tokenizer = pre_tokenizer(name)
    reference.decoder = decoders.ByteLevel()
    return reference


def add_special_tokens(reference, blob):
    types = blob["tokenizer.ggml.token_type"]
    tokens = [token for token, kind in zip(blob["tokenizer.ggml.tokens"], types, strict=True) if kind == 3]
    reference.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])


def test_model_vocabulary_gives_the_same_ids_for_every_text(model):
    reference, vocabulary, _ = model
    assert_same_ids(reference, vocabulary, Texts(seed=1).draw(NUM_TEXTS))


def test_model_vocabulary_gives_the_same_ids_for_every_code_point(model):
    reference, vocabulary, _ = model
    assert_same_ids(reference, vocabulary, every_code_point())


def test_model_vocabulary_finds_special_tokens_like_the_reference(model):
    _, vocabulary, blob = model
    reference = reference_of(blob)
    add_special_tokens(reference, blob)
    texts = Texts(seed=2)
    drawn = [texts.special() if i % 2 else texts.special() + texts.mixture() for i in range(10_000)]
    assert_same_ids(reference, vocabulary, drawn, command="special")


def test_user_text_never_becomes_a_special_token(model):
    _, vocabulary, blob = model
    special = {i for i, kind in enumerate(blob["tokenizer.ggml.token_type"]) if kind == 3}
    texts = [token.encode() for token in blob["tokenizer.ggml.tokens"] if "<" in token]
    for record in call_tool(vocabulary, "encode", texts):
        assert not special & set(as_ids(record))


def test_any_ids_give_the_same_text(model):
    _, vocabulary, blob = model
    reference = reference_of(blob)
    add_special_tokens(reference, blob)
    source = random.Random(3)
    tokens = blob["tokenizer.ggml.tokens"]
    single = [i for i, token in enumerate(tokens) if len(token) == 1]  # Bytes: most are no whole character.
    ids = [[source.choice(single) if source.randrange(2) else source.randrange(len(tokens))
            for _ in range(source.randrange(20))] for _ in range(20_000)]
    records = [struct.pack(f"<{len(one)}I", *one) for one in ids]
    for one, got in zip(ids, call_tool(vocabulary, "decode", records), strict=True):
        assert got.decode() == reference.decode(one, skip_special_tokens=True), one


@pytest.fixture(scope="module")
def drawn():
    return Texts(seed=4).draw(NUM_SMALL_TEXTS)


@pytest.mark.parametrize("name", NAMES)
def test_pre_tokenizer_gives_the_same_ids_with_a_trained_vocabulary(name, drawn, tmp_path):
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizer(name)
    trainer = trainers.BpeTrainer(vocab_size=2000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    trained.train_from_iterator([text.decode("utf-8", errors="replace") for text in drawn[::5]], trainer)
    learned = json.loads(trained.to_str())["model"]
    blob = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": name,
        "tokenizer.ggml.tokens": sorted(learned["vocab"], key=learned["vocab"].get),
        "tokenizer.ggml.merges": [merge if isinstance(merge, str) else " ".join(merge) for merge in learned["merges"]],
    }
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps(blob))
    assert_same_ids(reference_of(blob), path, drawn)


@pytest.mark.parametrize("name", NAMES)
def test_pre_tokenizer_cuts_the_same_words(name, drawn):
    reference = pre_tokenizer(name)
    texts = drawn + every_code_point()[::1 if name in HAVE_OWN_SCANNERS else 16]
    for text, record in zip(texts, call_tool(name, "words", texts), strict=True):
        words = reference.pre_tokenize_str(text.decode("utf-8", errors="replace"))
        assert as_ids(record) == [len(word) for word, _ in words], text  # Byte-level: a character is a byte.

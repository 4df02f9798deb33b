"""Small random llama models, drawn from a seed by SHAKE-256 alone, so that every machine and NumPy
draws the same file.
"""

import hashlib
import math

import numpy as np

from support.gguf_file import FORMATS, GROUP, I32, STRING, GgufFile, Tensor
from support.sampling import Sampling

MATRIX_FORMATS = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1")
FLOAT_FORMATS = MATRIX_FORMATS[:3]
TOKEN_NORMAL, TOKEN_CONTROL = 1, 3


class Draw:
    """An endless stream of bytes from a seed and a name."""

    def __init__(self, *name):
        self.name, self.count = "/".join(map(str, name)), 0

    def bytes(self, size):
        self.count += 1
        return hashlib.shake_256(f"{self.name}/{self.count}".encode()).digest(size)

    def below(self, n):
        return int.from_bytes(self.bytes(8), "little") % n

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def choice(self, options):
        return options[self.below(len(options))]

    def chance(self, one_in):
        return self.below(one_in) == 0

    def uniform(self, count):
        """binary32 in (-1, 1), exact multiples of 2^-15."""
        return np.frombuffer(self.bytes(2 * count), "<i2").astype(np.float32) / np.float32(32768)


class Case:
    """One model, its profile, a prompt and sampling."""

    def __init__(self, seed):
        self.seed = seed
        d = Draw("case", seed)
        self.head_size = d.choice([8, 16, 24, 32, 40, 48, 64, 80])
        step = 32 // math.gcd(32, self.head_size)  # heads * head size is whole groups
        self.heads = step * d.between(1, max(1, 320 // (step * self.head_size)))
        self.kv_heads = d.choice([n for n in range(1, self.heads + 1) if self.heads % n == 0])
        self.dim = self.heads * self.head_size
        self.layers = d.between(1, 3)
        self.ffn = d.between(1, 12) * GROUP if d.chance(2) else d.between(20, 390)
        self.vocab = d.between(24, 600)
        self.rotary = self.head_size if d.below(4) else self.head_size // 2
        self.base = d.choice([10000.0, 100000.0, 500000.0, 12345.5])
        self.epsilon = d.choice([1e-5, 1e-6])
        self.rope_factors = d.chance(4)
        self.tied = d.chance(2)
        self.activation_bits = d.choice([16, 8])
        self.kv_bits = d.choice([16, 8])
        self.context = 512
        self.parts = None if d.chance(2) else d.choice(self.legal_parts())
        self.prompt_ids = [
            d.below(self.vocab)
            for _ in range(d.between(1, 40) if d.below(4) else d.between(120, 300))
        ]
        self.tokens = d.between(2, 6)
        self.sampling = _draw_sampling(d, self.vocab)
        self.chunk = d.choice([1, 7, 16, 64, 512])

    @staticmethod
    def behaving():
        """A fixed model for tests of behaviour: four parts, greedy, a context of 512."""
        case = Case("behaviour")
        case.head_size, case.heads, case.kv_heads, case.dim, case.layers = 32, 4, 2, 128, 2
        case.ffn, case.vocab, case.rotary, case.base, case.rope_factors, case.tied = (
            256,
            300,
            32,
            10000.0,
            False,
            True,
        )
        case.activation_bits = case.kv_bits = 16
        case.parts, case.sampling = None, Sampling()
        return case

    def legal_parts(self):
        """Counts of parts that store.md's rule allows."""
        groups = -(-self.ffn // GROUP)
        limit = min(16, groups, self.kv_heads if self.kv_heads >= 8 else self.heads)
        return [
            p
            for p in range(1, limit + 1)
            if all((i * self.heads // p) * self.head_size % GROUP == 0 for i in range(p + 1))
        ]

    @property
    def stored_parts(self):
        return self.parts or self.legal_parts()[-1]

    def shard_flags(self):
        flags = ["--activation-bits", self.activation_bits, "--kv-bits", self.kv_bits]
        return flags + (["--parts", self.parts] if self.parts else [])

    def run_flags(self):
        ids = ",".join(map(str, self.prompt_ids))
        return [
            "--prompt-ids",
            ids,
            "--max-tokens",
            self.tokens,
            "--ignore-eos",
            *self.sampling.flags(),
        ]

    def gguf(self):
        d = Draw("formats", self.seed)
        tensors = {
            "token_embd.weight": self._matrix(
                "token_embd", d.choice(MATRIX_FORMATS), self.vocab, self.dim
            )
        }
        if not self.tied:
            tensors["output.weight"] = self._matrix(
                "output", d.choice(MATRIX_FORMATS), self.vocab, self.dim
            )
        tensors["output_norm.weight"] = self._norm("output_norm")
        if self.rope_factors:
            factors = 1 + np.abs(Draw("factors", self.seed).uniform(self.rotary // 2)) * 7
            tensors["rope_freqs.weight"] = Tensor(
                "F32", factors.shape, factors.astype("<f4").tobytes()
            )
        for n in range(self.layers):
            self._layer(tensors, n, d)
        return GgufFile(self._metadata(), tensors)

    def _layer(self, tensors, n, d):
        kv = self.kv_heads * self.head_size
        shapes = {
            "attn_q": (self.dim, self.dim),
            "attn_k": (kv, self.dim),
            "attn_v": (kv, self.dim),
            "attn_output": (self.dim, self.dim),
            "ffn_gate": (self.ffn, self.dim),
            "ffn_up": (self.ffn, self.dim),
            "ffn_down": (self.dim, self.ffn),
        }
        same = d.choice(
            MATRIX_FORMATS
        )  # Most files have one format for all; fused datasets need it.
        mixed = d.chance(3)
        for name, (rows, k) in shapes.items():
            form = d.choice(MATRIX_FORMATS) if mixed else same
            if k % GROUP and form not in FLOAT_FORMATS:
                form = d.choice(FLOAT_FORMATS)
            tensors[f"blk.{n}.{name}.weight"] = self._matrix(f"{n}.{name}", form, rows, k)
        for name in ("attn_norm", "ffn_norm"):
            tensors[f"blk.{n}.{name}.weight"] = self._norm(f"{n}.{name}")

    def _norm(self, name):
        values = 1 + Draw(self.seed, name).uniform(self.dim) * np.float32(0.5)
        return Tensor("F32", values.shape, values.astype("<f4").tobytes())

    def _matrix(self, name, form, rows, k):
        """Weights of about 1 / sqrt(k); now and then a group of zeros, one of subnormal scale, an
        outlier.
        """
        d = Draw(self.seed, name)
        size = np.float32(1.5 / np.sqrt(k))
        if form in FLOAT_FORMATS:
            values = d.uniform(rows * k) * size
            values[:GROUP] = 0
            values[-3:] *= 20
            return Tensor(form, (rows, k), _float_bytes(values, form))
        groups = rows * k // GROUP
        spread = {"Q8_0": 128, "Q4_0": 8, "Q4_1": 15}[form]
        scale = (np.abs(d.uniform(groups)) + np.float32(0.25)) * size / np.float32(spread)
        scale[0], scale[-1] = 0, 3e-7
        head = scale.astype("<f2")[:, None]
        if form == "Q4_1":
            minimum = (scale * np.float32(-7.5) + d.uniform(groups) * size / 8).astype("<f2")
            head = np.stack([head[:, 0], minimum], axis=1)
        codes = np.frombuffer(
            d.bytes(groups * (FORMATS[form][2] - 2 * head.shape[1])), np.uint8
        ).reshape(groups, -1)
        blocks = np.concatenate([np.ascontiguousarray(head).view(np.uint8), codes], axis=1)
        return Tensor(form, (rows, k), blocks.tobytes())

    def _metadata(self):
        tokens = [f"t{i:x}" for i in range(self.vocab)]
        tokens[0], tokens[1] = "<s>", "</s>"
        return {
            "general.architecture": "llama",
            "general.name": f"random {self.seed}",
            "llama.block_count": self.layers,
            "llama.context_length": self.context,
            "llama.embedding_length": self.dim,
            "llama.feed_forward_length": self.ffn,
            "llama.attention.head_count": self.heads,
            "llama.attention.head_count_kv": self.kv_heads,
            "llama.attention.layer_norm_rms_epsilon": self.epsilon,
            "llama.rope.freq_base": self.base,
            "llama.rope.dimension_count": self.rotary,
            "llama.vocab_size": self.vocab,
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": "gpt-2",
            "tokenizer.ggml.tokens": (STRING, tokens),
            "tokenizer.ggml.token_type": (
                I32,
                [TOKEN_CONTROL] * 2 + [TOKEN_NORMAL] * (self.vocab - 2),
            ),
            "tokenizer.ggml.merges": (STRING, []),
            "tokenizer.ggml.bos_token_id": 0,
            "tokenizer.ggml.eos_token_id": 1,
            "tokenizer.ggml.add_bos_token": False,
        }


def _draw_sampling(d, vocab):
    if d.chance(5):
        return Sampling(seed=d.below(2**63))
    s = Sampling(
        temperature=d.choice([0.3, 0.7, 1.0, 1.7]), seed=int.from_bytes(d.bytes(8), "little")
    )
    s.top_k = d.choice([0, 0, 1, 5, 40, 10000])
    s.top_p = d.choice([1.0, 1.0, 0.1, 0.5, 0.9, 0.95])
    s.min_p = d.choice([0.0, 0.0, 0.02, 0.2])
    if d.chance(2):
        s.repetition_penalty = d.choice([1.0, 1.1, 1.5])
        s.frequency_penalty = d.choice([0.0, 0.3, -0.2])
        s.presence_penalty = d.choice([0.0, 0.4])
        s.choice_index = d.choice([0, 3])
        s.logit_bias = {d.below(vocab): d.choice([2.5, -1.25]) for _ in range(d.below(3))}
    return s


def _float_bytes(values, form):
    if form == "F32":
        return values.astype("<f4").tobytes()
    if form == "F16":
        return values.astype("<f2").tobytes()
    bits = values.astype("<f4").view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()


def as_float32(gguf):
    """The same file with its BF16 tensors widened to F32, for readers that do not know BF16: the
    values are equal.
    """
    out = GgufFile(gguf.metadata, gguf.tensors)
    for name, tensor in gguf.tensors.items():
        if tensor.format == "BF16":
            wide = tensor.values(np.float32).astype("<f4").tobytes()
            out.tensors[name] = Tensor("F32", tensor.shape, wide)
    return out

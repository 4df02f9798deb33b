"""A floating-point forward pass of the llama architecture in NumPy, at any width.

What the model *means*, with no quantized activations or keys: the engine must come close to it
(kl_test) or choose the same tokens (stories_test). Reads plain arrays; shares nothing with the
program under test.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class LlamaWeights:
    """Matrices are [rows, k]; rotary pairs stand side by side (GGUF's order for `llama`)."""

    heads: int
    kv_heads: int
    head_size: int
    rope_base: float
    epsilon: float
    embedding: np.ndarray
    head: np.ndarray
    output_norm: np.ndarray
    layers: list = field(
        default_factory=list
    )  # of dicts: attn_norm, q, k, v, o, ffn_norm, gate, up, down


def llama_from_gguf(gguf, dtype=np.float64):
    """The weights of a GGUF file, dequantized to `dtype`."""
    key = lambda name, default=None: gguf.metadata.get("llama." + name, default)
    tensor = lambda name: gguf.tensors[name + ".weight"].values(dtype)
    heads = key("attention.head_count")
    embedding = tensor("token_embd")
    names = {
        "attn_norm": "attn_norm",
        "q": "attn_q",
        "k": "attn_k",
        "v": "attn_v",
        "o": "attn_output",
        "ffn_norm": "ffn_norm",
        "gate": "ffn_gate",
        "up": "ffn_up",
        "down": "ffn_down",
    }
    return LlamaWeights(
        heads=heads,
        kv_heads=key("attention.head_count_kv", heads),
        head_size=key("embedding_length") // heads,
        rope_base=key("rope.freq_base", 10000.0),
        epsilon=key("attention.layer_norm_rms_epsilon"),
        embedding=embedding,
        head=tensor("output") if "output.weight" in gguf.tensors else embedding,
        output_norm=tensor("output_norm"),
        layers=[
            {ours: tensor(f"blk.{n}.{theirs}") for ours, theirs in names.items()}
            for n in range(key("block_count"))
        ],
    )


class FloatLlama:
    """One sequence; keys and values of every layer are kept, so that tokens can be fed one by one
    or all at once.
    """

    def __init__(self, weights):
        self.w = weights
        self.keys = [[] for _ in weights.layers]
        self.values = [[] for _ in weights.layers]
        self.length = 0

    def logits(self, token_ids):
        """Feeds the tokens; returns the logits after each, [tokens, vocabulary]."""
        w = self.w
        x = w.embedding[np.asarray(token_ids)]
        positions = np.arange(self.length, self.length + len(token_ids))
        self.length += len(token_ids)
        for n, layer in enumerate(w.layers):
            x = x + self._attention(
                n, layer, _rms_norm(x, layer["attn_norm"], w.epsilon), positions
            )
            h = _rms_norm(x, layer["ffn_norm"], w.epsilon)
            gate = h @ layer["gate"].T
            x = x + (gate / (1 + np.exp(-gate)) * (h @ layer["up"].T)) @ layer["down"].T
        return _rms_norm(x, w.output_norm, w.epsilon) @ w.head.T

    def _attention(self, n, layer, h, positions):
        w = self.w
        split = lambda y, heads: y.reshape(len(h), heads, w.head_size)
        q = _rope(split(h @ layer["q"].T, w.heads), positions, w.rope_base)
        self.keys[n].append(_rope(split(h @ layer["k"].T, w.kv_heads), positions, w.rope_base))
        self.values[n].append(split(h @ layer["v"].T, w.kv_heads))
        keys, values = np.concatenate(self.keys[n]), np.concatenate(self.values[n])
        masked = np.arange(len(keys))[None, :] > positions[:, None]
        out = np.empty_like(q)
        for head in range(w.heads):
            shared = head // (w.heads // w.kv_heads)
            scores = (q[:, head] @ keys[:, shared].T) / np.sqrt(q.dtype.type(w.head_size))
            scores[masked] = -np.inf
            p = np.exp(scores - scores.max(axis=1, keepdims=True))
            out[:, head] = (p / p.sum(axis=1, keepdims=True)) @ values[:, shared]
        return out.reshape(len(h), -1) @ layer["o"].T


def greedy(weights, prompt_ids, count):
    """(`count` greedy tokens after the prompt, the narrowest lead that one of them had over its
    runner-up, in logits)."""
    model, out, lead = FloatLlama(weights), [], np.inf
    logits = model.logits(prompt_ids)[-1]
    while len(out) < count:
        out.append(int(np.argmax(logits)))
        second, first = np.partition(logits, -2)[-2:]
        lead = min(lead, first - second)
        logits = model.logits(out[-1:])[-1]
    return out, lead


def _rms_norm(x, weight, epsilon):
    mean = (x * x).mean(axis=-1, keepdims=True)
    return x / np.sqrt(mean + x.dtype.type(epsilon)) * weight


def _rope(x, positions, base):
    size = x.shape[-1]
    angle = positions[:, None].astype(np.float64) * base ** (-np.arange(0, size, 2) / size)
    cos, sin = (f(angle).astype(x.dtype)[:, None, :] for f in (np.cos, np.sin))
    out = np.empty_like(x)
    out[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
    out[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
    return out

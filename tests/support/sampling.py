"""The section "Sampling" of numerics.md, a second time: from raw logits and the tokens so far to
the next token.
"""

from dataclasses import dataclass, field

import numpy as np

from support.exact import F, exp, fma, philox4x32_10


@dataclass
class Sampling:
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int = 0
    choice_index: int = 0
    logit_bias: dict = field(default_factory=dict)

    @property
    def penalizes(self):
        return (self.repetition_penalty, self.frequency_penalty, self.presence_penalty) != (
            1,
            0,
            0,
        ) or self.logit_bias

    def flags(self):
        """The command line that asks for it."""
        out = ["--temperature", repr(self.temperature), "--seed", str(self.seed)]
        for name, off in (
            ("top_k", 0),
            ("top_p", 1.0),
            ("min_p", 0.0),
            ("repetition_penalty", 1.0),
            ("frequency_penalty", 0.0),
            ("presence_penalty", 0.0),
            ("choice_index", 0),
        ):
            if getattr(self, name) != off:
                out += ["--" + name.replace("_", "-"), repr(getattr(self, name))]
        for token, bias in sorted(self.logit_bias.items()):
            out += ["--logit-bias", f"{token}={bias!r}"]
        return out


def penalized(logits, sampling, prompt_ids, completion_ids):
    """Bias, then the three penalties, in the page's order."""
    out = np.array(logits, F)
    for token, bias in sampling.logit_bias.items():
        out[token] = out[token] + F(bias)
    if sampling.repetition_penalty != 1:
        seen = np.unique(np.array(list(prompt_ids) + list(completion_ids)))
        penalty = F(sampling.repetition_penalty)
        out[seen] = np.where(out[seen] > 0, out[seen] / penalty, out[seen] * penalty)
    tokens, counts = np.unique(np.array(completion_ids, np.int64), return_counts=True)
    if len(tokens):
        out[tokens] = fma(-F(sampling.frequency_penalty), counts.astype(F), out[tokens])
        out[tokens] = out[tokens] - F(sampling.presence_penalty)
    return out


def choose(logits, sampling, prompt_ids, completion_ids):
    """The next token's id."""
    l = penalized(logits, sampling, prompt_ids, completion_ids)
    if sampling.temperature == 0:
        return int(np.argmax(l))  # The first of equals is the lowest id.
    weights = [int(w) for w in np.rint(exp((l - l.max()) / F(sampling.temperature)) * F(2.0**30))]
    kept = sorted(range(len(l)), key=lambda i: (-float(l[i]), i))
    if sampling.top_k:
        kept = kept[: sampling.top_k]
    kept = _top_p(kept, weights, sampling.top_p)
    if sampling.min_p > 0:
        least = float(F(sampling.min_p)) * float(weights[kept[0]])
        kept = [i for i in kept if float(weights[i]) >= least]
    x0, x1, _, _ = philox4x32_10(
        (sampling.seed & 0xFFFFFFFF, sampling.seed >> 32),
        (len(completion_ids), sampling.choice_index, 0, 0),
    )
    threshold = ((x1 << 32 | x0) * sum(weights[i] for i in kept)) >> 64
    running = 0
    for i in sorted(kept):
        running += weights[i]
        if running > threshold:
            return i
    raise AssertionError("the threshold is below the sum")


def _top_p(kept, weights, top_p):
    if F(top_p) >= 1:
        return kept
    need = float(F(top_p)) * float(sum(weights[i] for i in kept))
    running = 0
    for count, i in enumerate(kept, 1):
        running += weights[i]
        if float(running) >= need:
            return kept[:count]
    return kept

"""Runs the shared folder's oracle of numerics.md on a random model, with this folder's own
sampling, and makes goldens of it.

python3 -m support.oracle [FIRST] [LAST] (in tests/; writes tests/model/golden/)
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from support import identifiers
from support.lockstep import GOLDEN, SHARED
from support.random_model import Case, as_float32
from support.sampling import choose

ORACLE = SHARED / "oracle"


def available():
    return (ORACLE / "numerics_oracle.py").exists()


def expect(case):
    """What the oracle says for a case: ids, digests of logits and layers, and hashes over them."""
    if str(ORACLE) not in sys.path:
        sys.path.insert(0, str(ORACLE))
    import numerics_oracle

    gguf = case.gguf()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        as_float32(gguf).write(path)
        model = numerics_oracle.Model(str(path), case.parts)
    assert model.parts == case.stored_parts, (
        f"seed {case.seed}: parts {model.parts}, {case.stored_parts}"
    )
    if case.rope_factors:
        factors = gguf.tensors["rope_freqs.weight"].values(np.longdouble)
        i = np.arange(0, case.rotary, 2, dtype=np.longdouble)
        model.f = (np.longdouble(case.base) ** (-i / case.rotary) / factors).astype(np.float64)
    caches, layers = [[] for _ in range(model.layers)], []
    forward = lambda ids, at, log=None: model.forward(
        ids, caches, at, case.activation_bits, case.kv_bits, log
    )
    x = forward(case.prompt_ids, 0, layers)
    ids, digests = [], []
    while True:
        logits = model.logits(x)
        digests.append(identifiers.logits_digest(logits.astype("<f4").tobytes()))
        ids.append(choose(logits, case.sampling, case.prompt_ids, ids))
        if not case.sampling.penalizes and not case.sampling.choice_index:
            assert ids[-1] == numerics_oracle.sample(logits, case.sampling, len(ids) - 1), (
                f"seed {case.seed}: sampling"
            )
        if len(ids) == case.tokens:
            break
        x = forward(ids[-1:], len(case.prompt_ids) + len(ids) - 1)
    return {
        "gguf_sha256": hashlib.sha256(gguf.to_bytes()).hexdigest(),
        "token_ids": ids,
        "token_digests": [d.hex() for d in digests],
        "layer_digests": layers,
        "output_hash": identifiers.output_hash(ids, "length").hex(),
        "trace_root": identifiers.trace_root(case.prompt_ids, ids, digests).hex(),
    }


def vector_goldens():
    """The oracle's vectors for the real model, in this folder's words."""
    vectors = json.loads((ORACLE / "vectors.json").read_text())
    out = []
    for v in vectors["vectors"]:
        sampling = {k: v[k] for k in ("temperature", "seed", "top_k", "top_p", "min_p")}
        out.append(
            {
                "name": v["name"],
                "parts": v["parts"],
                "activation_bits": v["activation_bits"],
                "kv_bits": v["kv_bits"],
                "prompt_ids": v["prompt_ids"],
                "sampling": sampling,
                "token_ids": v["token_ids"],
                "token_digests": v["token_digests"],
                "layer_digests": v.get("layer_digests_of_last_prompt_token"),
                "output_hash": v["output_hash_if_length"],
                "trace_root": v["trace_root"],
            }
        )
    return {
        "gguf_sha256": vectors["sha256"],
        "weights_root": vectors["weights_root"]["root"],
        "vectors": out,
    }


def write_golden(name, value):
    text = json.dumps(value, indent=1)
    for wide in ("prompt_ids", "token_ids"):  # Lists of ids on one line each.
        head, *rest = text.split(f'"{wide}": [')
        text = head + "".join(
            f'"{wide}": [' + " ".join(r.split("]", 1)[0].split()) + "]" + r.split("]", 1)[1]
            for r in rest
        )
    (GOLDEN / name).write_text(text + "\n")


def main(first=0, last=49):
    write_golden("smollm2.json", vector_goldens())
    cases = {}
    for seed in range(int(first), int(last) + 1):
        cases[str(seed)] = expect(Case(seed))
        print(seed, cases[str(seed)]["token_ids"], flush=True)
    write_golden("random_models.json", cases)


if __name__ == "__main__":
    main(*sys.argv[1:])

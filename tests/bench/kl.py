"""How far a store's answers are from those of a float64 pass over the same weights: an 8/8 row carries it.

By the means of the model tests, over two windows of 512 tokens of the reference text; kept by model and build, since
the bits of a profile do not change.
"""
import json
import sys

from programs import ROOT, run

sys.path.insert(0, str(ROOT / "tests"))
TEXT, WINDOW, WINDOWS = "data/text/wikitext-2-test.txt", 512, 2
KEPT = ROOT / "build/bench/kl.json"


def of_store(lab, store):
    """{"nats": mean KL divergence per token, "tokens": of how many}, or {"nats": None, "why": ...}."""
    from support import lockstep

    text = lockstep.SHARED / TEXT
    if not text.exists():
        return {"nats": None, "why": f"the reference text is missing (LOCKSTEP_SHARED_DIR): {TEXT}"}
    manifest = json.loads((store / "manifest.json").read_text())
    name = manifest["manifest_hash"]
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    if name not in kept:
        kept[name] = _measure(lab, store, text)
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.write_text(json.dumps(kept))
    return kept[name]


def _measure(lab, store, text):
    import numpy as np
    from support.byte_bpe import ByteBpe
    from support.float_llama import FloatLlama, llama_from_gguf
    from support.gguf_file import GgufFile

    def log_softmax(logits):
        shifted = logits - logits.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    gguf = GgufFile.read(lab.gguf)
    weights = llama_from_gguf(gguf, np.float64)
    ids = ByteBpe(gguf).encode(text.read_text()[: 16 * WINDOW])
    dump = ROOT / "build/bench/logits.bin"
    dump.parent.mkdir(parents=True, exist_ok=True)
    run([lab.ours.binary, "bench", "perplexity", "--model", store, "--text", text, "--window", WINDOW, "--windows",
         WINDOWS, "--dump-logits", dump])
    logits = np.fromfile(dump, "<f4").reshape(WINDOWS, WINDOW - 1, -1)
    dump.unlink()
    total = 0.0
    for n in range(WINDOWS):
        expected = log_softmax(FloatLlama(weights).logits(ids[n * WINDOW : (n + 1) * WINDOW])[:-1])
        total += (np.exp(expected) * (expected - log_softmax(logits[n].astype(np.float64)))).sum()
    tokens = WINDOWS * (WINDOW - 1)
    return {"nats": total / tokens, "tokens": tokens}

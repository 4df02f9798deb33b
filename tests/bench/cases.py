"""What is measured: every case interleaves ours and what it is compared with, round by round, and gives rows."""
import functools
import shutil
import tempfile

import kl
import serving
from programs import ROOT
from quiet import Samples
from rows import make_row

BATCH_PROMPT, BATCH_GEN = 128, 64
PROMPT, GEN = 512, 128
DEPTH = 2000
TOKEN_IDS = [(i * 7919 + 17) % 49152 for i in range(16)]


class Lab:
    """The programs, the files and the machine, and how often everything is repeated."""

    def __init__(self, ours, peer, machine, stores, gguf, rounds, quiet):
        self.ours, self.peer, self.machine = ours, peer, machine
        self.stores, self.gguf, self.rounds, self.quiet = stores, gguf, rounds, quiet
        self.peaks = {}

    def interleave(self, **runs):
        """{name: samples} of functions, A B A B, each in a quiet moment. A pair is such a function and what is to be
        done behind each of its samples."""
        samples = {name: Samples() for name in runs}
        for _ in range(self.rounds):
            for name, run in runs.items():
                function, behind = run if isinstance(run, tuple) else (run, None)
                self.quiet.take(function, samples[name])
                if behind:
                    behind()
        return samples

    def measure_peaks(self, store, threads):
        """The best of this and all earlier looks at the same cores."""
        found = self.ours.machine(store, threads)
        best = self.peaks.setdefault((store.name, threads), {"read_bytes_per_s": 0, "multiply_adds_per_s": 0})
        for key in best:
            best[key] = max(best[key], found[key])
        return best

    def with_peaks(self, store, threads, function):
        """The function, and behind each of its samples the machine's best."""
        return function, lambda: self.measure_peaks(store, threads)

    def row(self, case, threads, samples, **more):
        return make_row(case, threads, self.machine, samples, **more)


def prefill_bound(peak, figures, tokens, heads):
    """Tokens per second if nothing but the integer products took time; `heads` of `tokens` need logits."""
    planes = figures["activation_bits"] // 8
    work = planes * (figures["layer_multiply_adds"] + figures["head_multiply_adds"] * heads / tokens)
    return peak["multiply_adds_per_s"] / work


def decode_rows(lab, gguf, store, name, threads):
    figures, rows = {}, []

    def ours():
        (row,) = lab.ours.speed(store, threads, gen=GEN)
        figures.update(row)
        return row["avg_ts"]

    samples = lab.interleave(ours=lab.with_peaks(store, threads, ours),
                             peer=lambda: lab.peer.speed(gguf, threads, gen=GEN))
    peak = lab.peaks[store.name, threads]
    bound = peak["read_bytes_per_s"] / figures["step_bytes"]
    rows.append(lab.row(name, threads, samples, bound=bound, step_bytes=figures["step_bytes"]))
    if name == "decode":
        gigabytes = samples["ours"].map(lambda speed: speed * figures["step_bytes"] * 1e-9)
        rows.append(lab.row("decode-bandwidth", threads, {"ours": gigabytes}, unit="GB/s",
                            bound=peak["read_bytes_per_s"] * 1e-9))
    return rows


def prefill_rows(lab, gguf, stores, prefix, threads):
    """Both widths against the same runs of the peer."""
    figures = {}

    def ours(bits):
        (row,) = lab.ours.speed(stores[bits], threads, prompt=PROMPT)
        figures[bits] = row
        return row["avg_ts"]

    runs = {f"ours{bits}": lab.with_peaks(stores[bits], threads, functools.partial(ours, bits)) for bits in stores}
    samples = lab.interleave(**runs, peer=lambda: lab.peer.speed(gguf, threads, prompt=PROMPT))
    rows = []
    for bits, store in stores.items():
        bound = prefill_bound(lab.peaks[store.name, threads], figures[bits], PROMPT, 1)
        more = {"kl": kl.of_store(lab, store)} if bits == 8 and not prefix else {}
        both = {"ours": samples[f"ours{bits}"], "peer": samples["peer"]}
        rows.append(lab.row(f"{prefix}prefill-{bits}", threads, both, bound=bound, **more))
    return rows


def decode(lab):
    return [row for t in (1, 2) for row in decode_rows(lab, lab.gguf, lab.stores["16/16"], "decode", t)]


def prefill(lab):
    stores = {16: lab.stores["16/16"], 8: lab.stores["8/8"]}
    return [row for t in (1, 2) for row in prefill_rows(lab, lab.gguf, stores, "", t)]


def context(lab):
    """Decode behind 2,000 tokens against an empty context: one process, one after the other."""
    rows = []
    for bits, store in ((16, lab.stores["16/16"]), (8, lab.stores["16/8"])):
        for threads in (1, 2):
            def both(store=store, threads=threads):
                return [row["avg_ts"] for row in lab.ours.speed(store, threads, gen=GEN // 2, depths=f"0,{DEPTH}")]

            pairs = lab.interleave(ours=both)["ours"]
            empty, deep = pairs.map(lambda pair: pair[0]), pairs.map(lambda pair: pair[1])
            rows.append(lab.row(f"context-kv{bits}", threads, {"ours": deep, "peer": empty}, time_ratio=True,
                                against="the same with an empty context"))
    return rows


def batch(lab):
    rows, threads, store = [], 2, lab.stores["16/16"]
    for sequences in (8, 32):
        def ours(sequences=sequences):
            (row,) = lab.ours.json("bench", "batch", "--model", store, "--npl", sequences, "--npp", BATCH_PROMPT,
                                   "--ntg", BATCH_GEN, "-t", threads)
            return row["speed"]

        peer = {f"peer_fa{fa}": functools.partial(lab.peer.batch, lab.gguf, threads, sequences, BATCH_PROMPT,
                                                  BATCH_GEN, fa) for fa in (0, 1)}
        samples = lab.interleave(ours=lab.with_peaks(store, threads, ours), **peer)
        best = max(peer, key=lambda name: sorted(samples[name])[lab.rounds // 2])
        (figures,) = lab.ours.speed(store, threads, gen=1)
        bound = prefill_bound(lab.peaks[store.name, threads], figures, BATCH_PROMPT + BATCH_GEN, BATCH_GEN + 1)
        rows.append(lab.row(f"batch-{sequences}", threads, {"ours": samples["ours"], "peer": samples[best]},
                            bound=bound, against=f"llama-batched-bench -fa {best[-1]}"))
    return rows


def ranks(lab):
    """Two processes of one thread against one of two threads; and three against two."""
    rows, store = [], lab.stores["16/16"]
    for kind, work in (("decode", {"gen": GEN}), ("prefill", {"prompt": PROMPT})):
        def speed(threads, ranks=None, work=work):
            (row,) = lab.ours.speed(store, threads, ranks=ranks, **work)
            return row["avg_ts"]

        samples = lab.interleave(one=lambda: speed(2), two=lambda: speed(1, 2), three=lambda: speed(1, 3))
        rows.append(lab.row(f"ranks-2-{kind}", 2, {"ours": samples["two"], "peer": samples["one"]},
                            against="1 rank x 2 threads"))
        rows.append(lab.row(f"ranks-3-{kind}", 3, {"ours": samples["three"], "peer": samples["two"]},
                            against="2 MPI ranks x 1 thread"))
    return rows


def first_token(lab):
    store = lab.stores["16/16"]
    run = functools.partial(lab.ours.seconds_to_first_token, store, TOKEN_IDS, 2)
    run()  # Puts program and store into the page cache.
    return [lab.row("first-token", 2, lab.interleave(ours=run), unit="s")]


def shard(lab):
    megabytes = len(lab.gguf.read_bytes()) * 1e-6  # And into the page cache.
    folder = ROOT / "build/bench/import"

    def once():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        return megabytes / lab.ours.seconds_to_import(lab.gguf, folder)

    samples = lab.interleave(ours=once)
    shutil.rmtree(folder)
    return [lab.row("import", 2, samples, unit="MB/s")]


def load(lab):
    """Against the slower of plainly reading the files and hashing them: no load that does both can be faster."""
    store = lab.stores["16/16"]
    lab.ours.json("bench", "load", "--model", store, "-r", 1)
    found = lab.interleave(ours=lambda: lab.ours.json("bench", "load", "--model", store, "-r", 1))["ours"]
    speeds = lambda key: found.map(lambda load: load["bytes"] * 1e-6 / load[key][0])
    read, sha256 = speeds("read_s"), speeds("sha256_s")
    return [lab.row("load", 2, {"ours": speeds("load_s"), "read": read, "sha256": sha256}, unit="MB/s",
                    bound=min(max(read), max(sha256)))]


def serve(lab):
    """32 requests at once over HTTP, each server with all of what it would do for its users."""
    store, threads = lab.stores["16/16"], 2

    def ours():
        with tempfile.TemporaryDirectory() as state:
            return serving.output_speed(lambda port: serving.lockstep_serve(lab.ours, store, threads, state, port),
                                        lab.ours.binary, store)

    def peer():
        return serving.output_speed(lambda port: serving.llama_server(lab.peer.peer, lab.gguf, threads, port),
                                    lab.ours.binary, store)

    return [lab.row("serve-32", threads, lab.interleave(ours=ours, peer=peer), against="llama-server -np 32 -cb")]


CASES = {"decode": decode, "prefill": prefill, "context": context, "batch": batch, "ranks": ranks,
         "first-token": first_token, "import": shard, "load": load, "serve": serve}


def synthetic(lab, quant, gguf, stores):
    rows = []
    for threads in (1, 2):
        rows += decode_rows(lab, gguf, stores[16], f"synthetic-{quant}-decode", threads)
        widths = stores if quant == "q4_0" else {16: stores[16]}
        rows += prefill_rows(lab, gguf, widths, f"synthetic-{quant}-", threads)
    return rows

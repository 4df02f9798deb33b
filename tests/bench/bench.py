"""Runs the table of speeds: `make bench`, `make bench CASES=decode,prefill ROUNDS=1`, `make bench SYNTHETIC=1`.

A run of all cases writes bench/results/DATE-CPU.json, .md and .svg and fills in the README; a part writes the same
below build/bench/results.
"""
import argparse
import datetime
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import report
import synthetic
from cases import CASES, Lab
from cases import synthetic as synthetic_rows
from peer import Peer
from programs import ROOT, Lockstep, MeasuredPeer, distinct_cores, run
from quiet import QuietMoments
from rows import orientation

MODELS = ROOT / "build/models"
GGUF = MODELS / "SmolLM2-135M-Instruct.Q4_1.gguf"
QUANTS = ("q4_0", "q4_1")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=ROOT / "build/release/lockstep")
    parser.add_argument("--peer", type=Path, default=ROOT / "build/peer", help="where llama.cpp is built")
    parser.add_argument("--cases", default="", help=f"some of {','.join(CASES)}; all by default")
    parser.add_argument("--synthetic", action="store_true", help="measure the 1B-shaped models, too")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--patience", type=int, default=30, metavar="MINUTES",
                        help="waiting for quiet moments and repeating disturbed samples take so long at most")
    parser.add_argument("--out", type=Path, help="bench/results; for some of the cases build/bench/results")
    parser.add_argument("--no-readme", action="store_true", help="leave the README as it is")
    chosen = parser.parse_args()
    chosen.cases = [c for c in chosen.cases.split(",") if c]
    # A part must not take the place of the same day's whole.
    chosen.out = chosen.out or ROOT / ("build/bench/results" if chosen.cases else "bench/results")
    unknown = set(chosen.cases) - set(CASES)
    if unknown or chosen.rounds < 1:
        parser.error(f"--cases: choose from {','.join(CASES)}" if unknown else "--rounds: expected 1 or more")
    return chosen


def cpu_fields():
    text = Path("/proc/cpuinfo").read_text()
    field = lambda name: (re.search(rf"^{name}\s*: (.*)$", text, re.MULTILINE) or [None, "unknown"])[1]
    return {"vendor": field("vendor_id"), "family": int(field("cpu family")), "model": int(field("model")),
            "flags": field("flags").split()}


def describe_machine(ours):
    found = ours.json("bench", "machine", "--bytes", "64MiB", "--passes", 2)
    cpu = cpu_fields()
    return {"cpu": found["cpu_info"], "cores": sorted(os.sched_getaffinity(0)), "vectors": found["vectors"],
            "isa": "vnni" if found["vectors"] == "avx512vnni" else "avx2", "dot_product": found["dot_product"],
            "instruction_sets": [f for f in cpu["flags"] if re.match("avx|fma|f16c|sha_ni|amx", f)],
            "vendor": cpu["vendor"], "family": cpu["family"], "model": cpu["model"],
            "huge_pages": Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text().strip()}


def store_of(binary, gguf, name, activation_bits, kv_bits):
    """A store of the file in one profile, made anew where it is missing or of another version."""
    folder = MODELS / name
    if subprocess.run([binary, "inspect", folder], capture_output=True).returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        run([binary, "shard", gguf, "--out", folder, "--activation-bits", activation_bits, "--kv-bits", kv_bits])
    return folder


def stores_of(binary):
    profiles = {"16/16": (16, 16), "16/8": (16, 8), "8/8": (8, 8)}
    return {name: store_of(binary, GGUF, f"bench-a{a}k{k}", a, k) for name, (a, k) in profiles.items()}


def cycles(ours, store):
    """What perf counts while one thread decodes 128 tokens; None where there is no perf or it may not count."""
    words = ["perf", "stat", "-x", ",", "-e", "cycles,instructions,cache-misses", ours.binary, "bench", "--model",
             store, "-p", 0, "-n", 128, "-t", 1, "-r", 1]
    if not shutil.which("perf"):
        return None
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    counts = {f[2]: int(f[0]) for f in (line.split(",") for line in done.stderr.splitlines()) if f[0].isdigit()}
    return counts or None


def operations(ours):
    """Single operations of one thread; every other shape can be had from `lockstep bench ops`."""
    names = "linear/q4_1/.*/(1|8|512)$|attention|rms_norm|quantize|swiglu"
    found = ours.json("bench", "ops", "--filter", names, "--min-time", 0.05)["benchmarks"]
    return [{"name": b["name"], "ns": b["cpu_time"], "macs_per_s": b.get("MAC/s"),
             "bytes_per_s": b.get("bytes_per_second")} for b in found]


def measure(chosen, lab, done):
    """Calls done(rows) after every case."""
    for name in chosen.cases or CASES:
        print(f"{name} ...", flush=True)
        done(CASES[name](lab))
    for quant in QUANTS if chosen.synthetic else ():
        print(f"synthetic {quant} ...", flush=True)
        gguf = synthetic.ensure(GGUF, MODELS / f"synthetic-1b-{quant}.gguf", quant)
        stores = {bits: store_of(chosen.binary, gguf, f"synthetic-{quant}-a{bits}", bits, bits) for bits in (16, 8)}
        done(synthetic_rows(lab, quant, gguf, stores))


def main():
    chosen = arguments()
    os.sched_setaffinity(0, distinct_cores(2))
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("make bench: needs two cores")
    peer = Peer(chosen.peer.resolve())
    peer.ensure()
    ours, measured = Lockstep(chosen.binary.resolve()), MeasuredPeer(peer)
    machine, now = describe_machine(ours), datetime.datetime.now(datetime.timezone.utc)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    results = {"date": now.strftime("%Y-%m-%dT%H:%M:%SZ"), "commit": commit.stdout.strip(), "rounds": chosen.rounds,
               "machine": machine, "orientation": (orientation(machine) or {}).get("machine"), "rows": []}
    stores = stores_of(chosen.binary)
    quiet = QuietMoments(ours.look, 60 * chosen.patience)
    lab = Lab(ours, measured, machine, stores, GGUF, chosen.rounds, quiet)

    def done(rows):
        results["rows"] += rows
        print(report.markdown({**results, "rows": rows}), flush=True)

    measure(chosen, lab, done)
    results["quiet"] = quiet.describe()
    results["peaks"] = [{"store": s, "threads": t, **peak} for (s, t), peak in lab.peaks.items()]
    if not chosen.cases:
        results["operations"] = operations(ours)
        results["perf"] = cycles(ours, lab.stores["16/16"])
    results["peer"] = {**peer.describe(), "raw": measured.raw}
    path = report.write(results, chosen.out)
    print(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
    if not chosen.cases and not chosen.no_readme:
        report.update_readme(results, path, ROOT / "README.md")


if __name__ == "__main__":
    main()

"""Tables and the picture of a results file. `report.py RESULTS.json README.md` puts them into the README anew."""
import json
import os
import re
import sys
from pathlib import Path

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
TITLES = {
    "decode": "decode",
    "decode-bandwidth": "decode, bytes of weights per second",
    "context-kv16": "decode behind 2,000 tokens, kv 16 (ratio: times the time)",
    "context-kv8": "decode behind 2,000 tokens, kv 8 (ratio: times the time)",
    "prefill-16": "prompt of 512, 16/16",
    "prefill-8": "prompt of 512, 8/8",
    "batch-8": "8 sequences at once",
    "batch-32": "32 sequences at once",
    "serve-32": "32 requests at once over HTTP",
    "ranks-2-decode": "2 MPI ranks, decode",
    "ranks-2-prefill": "2 MPI ranks, prompt of 512",
    "ranks-3-decode": "3 MPI ranks on 2 cores, decode",
    "ranks-3-prefill": "3 MPI ranks on 2 cores, prompt of 512",
    "first-token": "process start to first token, prompt of 16",
    "import": "`shard`: import, all hashes, sync",
    "load": "load, every hash checked",
}


def title(row):
    synthetic = re.fullmatch(r"synthetic-(q4_[01])-(decode|prefill)(?:-(\d+))?", row["case"])
    if not synthetic:
        return TITLES[row["case"]]
    quant, kind, bits = synthetic.groups()
    return f"1B-shaped {quant.upper()}, " + ("decode" if kind == "decode" else f"prompt of 512, {bits}/{bits}")


def number(value):
    """Three digits, no exponent."""
    if value is None:
        return ""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def limit(row, value):
    if value is None:
        return ""
    text = f"{value:.0%}" if row["figure"] == "bound_fraction" else number(value)
    unit = {"ratio": "x", "bound_fraction": "", "ours": " " + row["unit"]}[row["figure"]]
    return ("≤ " if row["sense"] == "at most" else "") + text + unit


def verdict(row):
    if row["invalid"]:
        return "invalid"
    return "aim" if row["aim_met"] else "yes" if row["met"] else "no"


def with_spread(row, who, value):
    if value is None:
        return ""
    spread = row["spread"].get(who)
    unit = "" if row["unit"] == "tokens/s" else " " + row["unit"]
    return number(value) + unit + (f" ±{spread / 2:.0%}" if spread else "")


def markdown(results):
    lines = ["| case | threads | ours | against | ratio | of the bound | must | aim | met |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"]
    for row in results["rows"]:
        fraction = "" if row["bound_fraction"] is None else f"{row['bound_fraction']:.0%}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}x"
        lines.append("| " + " | ".join([title(row), str(row["threads"]), with_spread(row, "ours", row["ours"]),
                                        with_spread(row, "peer", row["peer"]), ratio, fraction, limit(row, row["must"]),
                                        limit(row, row["aim"]), verdict(row)]) + " |")
    return "\n".join(lines) + "\n"


def busy_lines(rows):
    """Which samples are of a disturbed machine; when all are, in one line."""
    counts = [(row, who, count, len(row["samples"][who])) for row in rows for who, count in row.get("busy", {}).items()]
    kept = [entry for entry in counts if entry[2]]
    if len(kept) > 3 and len(kept) == len(counts):
        share = sum(count for _, _, count, _ in kept) / sum(total for _, _, _, total in kept)
        return [f"Disturbed throughout: {share:.0%} of the samples were taken all the same, because no quiet moment "
                "came; ratios to the peer say more than figures and fractions of a bound."]
    return [f"Busy all the same: {title(row)}, threads {row['threads']}: {count} of {total} ({who})."
            for row, who, count, total in kept]


def notes(results):
    """What a reader must know to believe the table."""
    machine, lines = results["machine"], []
    sets = " ".join(machine["instruction_sets"])
    lines.append(f"{machine['cpu']} (family {machine['family']}, model {machine['model']}), {len(machine['cores'])} "
                 f"cores; {sets}. Medians of {results['rounds']} interleaved rounds, ± half the range; tokens per "
                 f"second unless it says otherwise; {results['date'][:10]}, commit {results['commit']}.")
    peaks = {}
    for peak in results.get("peaks", ()):
        best = peaks.setdefault(peak["threads"], [0, 0])
        best[0] = max(best[0], peak["read_bytes_per_s"] * 1e-9)
        best[1] = max(best[1], peak["multiply_adds_per_s"] * 1e-9)
    for threads, (read, dot) in sorted(peaks.items()):
        lines.append(f"The bound of {threads} thread{'s' * (threads > 1)}: {read:.1f} GB/s read, {dot:.0f} GMAC/s "
                     f"({machine['dot_product']}).")
    if "peer" in results:
        lines.append(f"Against llama.cpp ({results['peer']['package']} {results['peer']['version']}, "
                     f"{results['peer']['system_info'].strip().rstrip('|').strip()}) unless a row says otherwise.")
    if "quiet" in results:
        quiet = results["quiet"]
        lines.append(f"A moment is quiet when every processor has at least {quiet['least_share']:.0%} of its best "
                     f"speed of this run before and behind a sample; {quiet['rejected']} samples were taken again.")
    lines += busy_lines(results["rows"])
    others = [f"{title(r)}: {r['against']}" for r in results["rows"] if r.get("against")]
    if others:
        lines.append("Compared with something else: " + "; ".join(dict.fromkeys(others)) + ".")
    for row in [r for r in results["rows"] if "kl" in r][:1]:
        kl = row["kl"]
        found = kl["why"] if kl["nats"] is None else f"{kl['nats']:.1e} nats per token over {kl['tokens']} tokens"
        lines.append(f"KL divergence of the 8/8 store from a float64 pass: {found}.")
    lines += [f"Invalid: {title(r)}, threads {r['threads']}: {r['invalid']}." for r in results["rows"] if r["invalid"]]
    return "\n".join(f"- {line}" for line in lines) + "\n"


def picture(results, path):
    """Ours, the peer (or what else a row compares with) and the bound, for the rows that have tokens per second."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams.update({"svg.hashsalt": "lockstep", "font.size": 9})
    rows = [r for r in results["rows"] if r["unit"] == "tokens/s"]
    if not rows:
        return False
    columns = 2
    lines = -(-len(rows) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(9, 1.05 * lines + 0.4), squeeze=False, layout="constrained")
    colors = {"ours": "#1f6f8b", "against": "#c7a252", "bound": "#c9ced6"}
    for axis, row in zip(axes.flat, rows):
        bars = {"ours": row["ours"], "against": row["peer"], "bound": row["bound"]}
        bars = {name: value for name, value in bars.items() if value is not None}
        drawn = axis.barh(list(bars), list(bars.values()), color=[colors[name] for name in bars])
        axis.bar_label(drawn, [number(value) for value in bars.values()], padding=3, fontsize=8)
        name = re.sub(r" \(.*\)", "", title(row)) + f", {row['threads']} thread{'s' * (row['threads'] > 1)}"
        axis.set_title(name + ", disturbed" * bool(row["invalid"]), fontsize=9, loc="left")
        axis.set_xlim(0, 1.18 * max(bars.values()))
        axis.invert_yaxis()
        axis.set_xticks([])
        axis.spines[["top", "right", "bottom"]].set_visible(False)
    for axis in axes.flat[len(rows):]:
        axis.set_visible(False)
    figure.suptitle(f"Tokens per second, {results['machine']['cpu']}, {results['machine']['vectors']}", fontsize=10)
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
    return True


def base_name(results):
    cpu = re.sub(r"[^a-z0-9]+", "-", results["machine"]["cpu"].lower()).strip("-")
    return f"{results['date'][:10]}-{cpu}"


def write(results, folder):
    """DATE-CPU.json, .md and .svg; returns the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (base_name(results) + ".json")
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    drawn = picture(results, path.with_suffix(".svg"))
    path.with_suffix(".md").write_text(section(results, path if drawn else None, path.parent))
    return path


def section(results, path, folder):
    image = f"![Ours, llama.cpp and the bound]({os.path.relpath(path.with_suffix('.svg'), folder)})\n\n" if path else ""
    return image + markdown(results) + "\n" + notes(results)


def update_readme(results, path, readme):
    """Replaces what stands between the markers."""
    text = readme.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise SystemExit(f"{readme.name}: expected one {BEGIN} and behind it one {END}")
    head, tail = text[: text.index(BEGIN)], text[text.index(END):]
    readme.write_text(f"{head}{BEGIN}\n{section(results, path, readme.parent)}{tail}")


if __name__ == "__main__":
    source = Path(sys.argv[1])
    update_readme(json.loads(source.read_text()), source.resolve(), Path(sys.argv[2]).resolve())

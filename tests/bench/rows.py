"""A row of the results: what was measured, against whom, and whether it is enough. Pure."""
import json
from pathlib import Path
from statistics import median

TABLE = json.loads((Path(__file__).parent / "targets.json").read_text())


def spread(samples):
    """The whole range of the samples as a share of their median; nothing for fewer than two."""
    return (max(samples) - min(samples)) / median(samples) if len(samples) > 1 else None


def target(case, threads, isa):
    for line in TABLE["targets"]:
        if case in line["cases"] and threads in line["threads"] and line.get("isa", isa) == isa:
            return line
    raise KeyError(f"targets.json has no line for {case} with {threads} threads on {isa}")


def orientation(machine):
    """The line of figures that the peer should reach here, or None where no such machine is in the table."""
    for line in TABLE["orientation"]:
        if all(machine.get(key) == line[key] for key in ("isa", "vendor", "family")):
            return line
    return None


def reaches(value, limit, sense):
    if value is None or limit is None:
        return None
    return value >= limit if sense == "at least" else value <= limit


def invalid_because(row, machine):
    """Why the row counts for nothing, or None."""
    line = orientation(machine)
    known = line and line["peer"].get(row["case"], {}).get(str(row["threads"]))
    if not known or row["peer"] is None:
        return None
    least = known * TABLE["orientation_share"]
    if row["peer"] >= least:
        return None
    return (f"the peer reached {row['peer']:.0f} {row['unit']} here, less than {TABLE['orientation_share']:.0%} of the "
            f"{known} of a like machine ({line['machine']}): this run was disturbed")


def make_row(case, threads, machine, samples, unit="tokens/s", bound=None, time_ratio=False, **more):
    """`samples`: {"ours": [...], "peer": [...]}, the peer's may be missing. `bound`: the best that the machine could
    do, in the same unit; what was measured here lifts it. `time_ratio`: the ratio is how many times longer ours takes.
    `rejected` and `busy` of a row: as in quiet.Samples.
    """
    ours = median(samples["ours"])
    peer = median(samples["peer"]) if samples.get("peer") else None
    if bound is not None:
        bound = max([bound, *samples["ours"]])
    ratio = None if peer is None else (peer / ours if time_ratio else ours / peer)
    line = target(case, threads, machine["isa"])
    row = {"case": case, "threads": threads, "unit": unit, "ours": ours, "peer": peer, "ratio": ratio, "bound": bound,
           "bound_fraction": None if bound is None else ours / bound, "figure": line["figure"],
           "sense": line["sense"], "must": line["must"], "aim": line["aim"], "isa": machine["isa"],
           "spread": {who: spread(values) for who, values in samples.items()}, "samples": samples,
           "rejected": {who: getattr(values, "rejected", 0) for who, values in samples.items()},
           "busy": {who: getattr(values, "busy", 0) for who, values in samples.items()}, **more}
    row["invalid"] = invalid_because(row, machine)
    value = row[line["figure"]]
    row["met"] = None if row["invalid"] else reaches(value, line["must"], line["sense"])
    row["aim_met"] = None if row["invalid"] else reaches(value, line["aim"], line["sense"])
    return row

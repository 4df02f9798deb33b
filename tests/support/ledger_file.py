"""The local ledger's file format (chainbridge/README.md), a second time: reads, rebuilds and proves
it in Python.

File: records one after the other. A record is magic "LSR1", payload bytes (u32 LE), 8 bytes of
header check, the payload (canonical JSON), 32 bytes of hash; both hashes are chained to the record
before.
"""

import json
import struct
from pathlib import Path

from support.identifiers import (
    job_id,
    keccak,
    ordered_root,
    output_hash,
    prompt_hash,
    result_hash,
    spec_hash,
    tagged,
    trace_root,
    word,
)

MAGIC = b"LSR1"
REASONS = ("stop", "length")


def path_of(directory):
    return Path(directory) / "ledger.bin"


def read(directory):
    """The payloads as dicts, in order; every hash of the chain is checked."""
    raw, at, head, records = path_of(directory).read_bytes(), 0, bytes(32), []
    while at < len(raw):
        assert raw[at : at + 4] == MAGIC, f"byte {at}: no record"
        (size,) = struct.unpack_from("<I", raw, at + 4)
        payload = raw[at + 16 : at + 16 + size]
        assert raw[at : at + 48 + size] == _frame(head, len(records), payload), (
            f"record {len(records)}"
        )
        head = raw[at + 16 + size : at + 48 + size]
        records.append(json.loads(payload))
        at += 48 + size
    return records


def write(directory, records):
    """Frames and chains the payloads anew."""
    out, head = b"", bytes(32)
    for sequence, record in enumerate(records):
        out += _frame(head, sequence, _canonical(record))
        head = out[-32:]
    path_of(directory).write_bytes(out)


def rebuild(records):
    """Recomputes every hash that follows from the records' own fields, so that the ledger is
    consistent again.
    """
    ledger, jobs, leaves, receipts, previous, rollups = None, {}, [], [], bytes(32), 0
    for sequence, record in enumerate(records):
        if record["type"] == "genesis":
            ledger = tagged("record", bytes(32), 0, keccak(_canonical(record)))
        elif record["type"] == "assignment":
            _rebuild_assignment(record, ledger, sequence)
            jobs[sequence] = record
        elif record["type"] == "result":
            _rebuild_result(record, jobs[record["assignment"]])
            leaves.append(_leaf(record, len(leaves)))
            receipts.append(keccak(_hex(record, "job_id", "result_hash", "output_hash") + word(0)))
        else:
            record["contract"], record["previous"] = ledger.hex(), previous.hex()
            record["root"], record["count"] = merkle_root(leaves).hex(), len(leaves)
            record["data_commitment"] = ordered_root(receipts).hex()
            previous = tagged(
                "rollup",
                0,
                ledger,
                0,
                rollups,
                previous,
                bytes.fromhex(record["root"]),
                len(leaves),
                bytes.fromhex(record["data_commitment"]),
            )
            record["header_hash"] = previous.hex()
            rollups, leaves, receipts = rollups + 1, [], []
    return records


def ledger_id(records):
    return tagged("record", bytes(32), 0, keccak(_canonical(records[0])))


def leaf_of(record, index):
    return _leaf(record, index)


def merkle_root(leaves):
    """OpenZeppelin's StandardMerkleTree over leaf hashes."""
    return _merkle(leaves)[0]


def verify_proof(root, leaf, proof):
    for sibling in proof:
        leaf = keccak(min(leaf, sibling) + max(leaf, sibling))
    return leaf == root


def leaf_hash(index, job, spec, result, trace, completed_at, price=0, version=1):
    fields = [version, index, job, spec, result, trace, price, completed_at]
    return keccak(keccak(b"".join(word(f) for f in fields)))


def _merkle(leaves):
    nodes = [b""] * (len(leaves) - 1) + sorted(leaves, reverse=True)
    for i in reversed(range(len(leaves) - 1)):
        a, b = nodes[2 * i + 1], nodes[2 * i + 2]
        nodes[i] = keccak(min(a, b) + max(a, b))
    return nodes


def _frame(previous, sequence, payload):
    check = tagged("frame", previous, sequence, len(payload))[:8]
    seal = tagged("record", previous, sequence, keccak(payload))
    return MAGIC + struct.pack("<I", len(payload)) + check + payload + seal


def _canonical(record):
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _hex(record, *keys):
    return b"".join(bytes.fromhex(record[k]) for k in keys)


def _sampling_hash(s):
    bits = b"".join(struct.pack("<II", token, value) for token, value in s["logit_bias_bits"])
    return tagged(
        "sampling",
        s["temperature_bits"],
        s["top_k"],
        s["top_p_bits"],
        s["min_p_bits"],
        s["repetition_penalty_bits"],
        s["frequency_penalty_bits"],
        s["presence_penalty_bits"],
        s["seed"],
        s["max_completion_tokens"],
        keccak(b"".join(keccak(t.encode()) for t in s["stop"])),
        keccak(bits) if bits else bytes(32),
        int(s["ignore_eos"]),
        s["context_limit"],
        s["choice_index"],
        s["trace"],
    )


def _rebuild_assignment(record, ledger, sequence):
    prompt = prompt_hash(record["prompt_ids"], bytes.fromhex(record["salt"]))
    sampling = _sampling_hash(record["sampling"])
    spec = spec_hash(
        bytes.fromhex(record["model_id"]),
        sampling,
        prompt,
        len(record["prompt_ids"]),
        record["sampling"]["max_completion_tokens"],
    )
    record["prompt_hash"], record["sampling_hash"], record["spec_hash"] = (
        prompt.hex(),
        sampling.hex(),
        spec.hex(),
    )
    record["job_id"] = job_id(ledger, sequence, record["tenant"]).hex()


def _rebuild_result(record, job):
    digests = [bytes.fromhex(d) for d in record["token_digests"]]
    output = output_hash(record["completion_ids"], REASONS[record["finish_reason"]])
    trace = trace_root(job["prompt_ids"], record["completion_ids"], digests)
    record["job_id"], record["spec_hash"] = job["job_id"], job["spec_hash"]
    record["output_hash"], record["trace_root"] = output.hex(), trace.hex()
    record["result_hash"] = result_hash(
        bytes.fromhex(job["job_id"]), bytes.fromhex(job["spec_hash"]), output, trace
    ).hex()


def _leaf(record, index):
    job, spec, result, trace = (
        bytes.fromhex(record[k]) for k in ("job_id", "spec_hash", "result_hash", "trace_root")
    )
    return leaf_hash(index, job, spec, result, trace, record["completed_at"])

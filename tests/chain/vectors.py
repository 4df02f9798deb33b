"""Writes vectors/contracts.json: what the contracts, and whoever speaks to them, must compute alike.

    python tests/chain/vectors.py > tests/chain/vectors/contracts.json

Everything comes from tests/support/identifiers.py and from EIP-712's own rules, written here a second time; nothing is
taken from the contracts or from the C++ sources, which are both held against the file. Addresses are padded to words.
"""
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.identifiers import keccak, ordered_root, tagged, word  # noqa: E402

CHAIN_ID = 31337
COUNTS = [1, 2, 3, 255, 256, 100_000]
GOLDEN = "69a57c625de3bf7af0c4a6512a6cd0c353524d7fd471b48c69168a865658ae5a"


def text_hash(text):
    return keccak(text.encode())


def address(name):
    return bytes(12) + text_hash(name)[12:]


def leaf_hash(index, job, spec, result, trace, price, completed_at):
    fields = [1, index, job, spec, result, trace, price, completed_at]
    return keccak(keccak(b"".join(word(field) for field in fields)))


def tree(leaves):
    """The nodes of the standard Merkle tree: the root first, the sorted leaves last and in reverse."""
    nodes = [b""] * (len(leaves) - 1) + sorted(leaves, reverse=True)
    for i in range(len(leaves) - 2, -1, -1):
        nodes[i] = keccak(b"".join(sorted(nodes[2 * i + 1 : 2 * i + 3])))
    return nodes


def proof(nodes, leaf):
    place = nodes.index(leaf, len(nodes) // 2)
    siblings = []
    while place > 0:
        siblings.append(nodes[place + 1 if place % 2 == 1 else place - 1])
        place = (place - 1) // 2
    return siblings


def result(i):
    """The i-th result: its fields as the contracts take them, and the hashes that follow."""
    fields = {
        "index": i,
        "job_id": text_hash(f"job-{i}"),
        "spec_hash": text_hash(f"spec-{i}"),
        "trace_root": text_hash(f"trace-{i}"),
        "tokens_hash": text_hash(f"tokens-{i}"),
        "completion_tokens": i % 1000,
        "finish_reason": i % 2,
        "price": 1000 + i,
        "completed_at": 1_700_000_000 + i,
    }
    output = tagged("output", fields["tokens_hash"], fields["completion_tokens"], fields["finish_reason"])
    hashed = tagged("result", fields["job_id"], 1, fields["spec_hash"], output, fields["trace_root"])
    leaf = leaf_hash(i, fields["job_id"], fields["spec_hash"], hashed, fields["trace_root"], fields["price"],
                     fields["completed_at"])
    return fields | {"output_hash": output, "result_hash": hashed, "leaf": leaf}


def rollups(counts):
    leaves = [result(i)["leaf"] for i in range(max(counts))]
    for count in counts:
        nodes = tree(leaves[:count])
        last = count - 1
        yield {"count": count, "root": nodes[0], "proven": last, "leaf": leaves[last],
               "proof": proof(nodes, leaves[last])}


def spec(i):
    fields = [text_hash(f"model-{i}"), text_hash(f"sampling-{i}"), text_hash(f"prompt-{i}"), 100 + i, 50 + i,
              3 + i, 7 + i, 1_700_086_400 + i, address(f"provider-{i}") if i else bytes(32)]
    if i == 2:  # As large as the types allow.
        fields[3:8] = [2**32 - 1, 2**32 - 1, 2**64 - 1, 2**64 - 1, 2**64 - 1]
    names = ["model_id", "sampling_hash", "prompt_hash", "prompt_tokens", "max_completion_tokens",
             "price_per_prompt_token", "price_per_completion_token", "deadline", "provider"]
    cap = fields[3] * fields[5] + fields[4] * fields[6]
    return dict(zip(names, fields)) | {"spec_hash": tagged("spec", *fields), "cap": cap}


def job(i):
    contract, client = address("escrow"), address(f"client-{i}")
    return {"contract": contract, "client": client, "client_nonce": i * i,
            "job_id": tagged("job", CHAIN_ID, contract, client, i * i)}


def header(i):
    fields = {
        "operator": address("operator"),
        "sequence": i,
        "previous": text_hash(f"header-{i - 1}") if i else bytes(32),
        "root": text_hash(f"root-{i}"),
        "count": 256 + i,
        "data_commitment": ordered_root([text_hash(f"receipt-{i}-{k}") for k in range(5)]),
    }
    hashed = tagged("rollup", CHAIN_ID, address("rollup"), *fields.values())
    return fields | {"contract": address("rollup"), "header_hash": hashed}


SPEC_TYPE = ("Spec(bytes32 modelId,bytes32 samplingHash,bytes32 promptHash,uint32 promptTokens,"
             "uint32 maxCompletionTokens,uint64 pricePerPromptToken,uint64 pricePerCompletionToken,uint64 deadline,"
             "address provider)")
ORDER_TYPE = "PostOrder(address client,uint64 clientNonce,Spec spec,bytes32 salt,uint64 expiry)" + SPEC_TYPE
CONSENT_TYPE = "OperatorConsent(address owner,address operator,bytes32 salt,uint64 expiry)"
HEADER_TYPE = ("RollupHeader(address operator,uint64 sequence,bytes32 previous,bytes32 root,uint64 count,"
               "bytes32 dataCommitment)")
RECEIPT_TYPE = "Receipt(bytes32 jobId,bytes32 resultHash,bytes32 outputHash,uint128 price)"


def struct_hash(kind, *fields):
    return keccak(text_hash(kind) + b"".join(word(field) for field in fields))


def digest(contract, hashed):
    domain = struct_hash("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)",
                         text_hash("Lockstep"), text_hash("1"), CHAIN_ID, contract)
    return keccak(b"\x19\x01" + domain + hashed)


def typed_data():
    """EIP-712 digests of what is signed, over the values above. The receipt's contract is the escrow's."""
    salt, expiry = text_hash("salt"), 1_700_000_600
    fields = list(spec(1).values())[:9]
    order = struct_hash(ORDER_TYPE, address("client-1"), 1, struct_hash(SPEC_TYPE, *fields), salt, expiry)
    consent = struct_hash(CONSENT_TYPE, address("owner"), address("operator key"), salt, expiry)
    signed = struct_hash(HEADER_TYPE, *list(header(1).values())[:6])
    one = result(1)
    receipt = struct_hash(RECEIPT_TYPE, one["job_id"], one["result_hash"], one["output_hash"], one["price"])
    return {
        "salt": salt, "expiry": expiry, "owner": address("owner"), "operator_key": address("operator key"),
        "registry": address("registry"), "escrow": address("escrow"), "rollup": address("rollup"),
        "post_order": digest(address("escrow"), order),
        "operator_consent": digest(address("registry"), consent),
        "rollup_header": digest(address("rollup"), signed),
        "receipt": digest(address("escrow"), receipt),
    }


def golden_root():
    leaves = [leaf_hash(i, *(text_hash(f"{name}-{i}") for name in ("job", "spec", "result", "trace")), 1000 + i,
                        1_700_000_000 + i) for i in range(3)]
    return tree(leaves)[0]


def as_json(value):
    """Words as 0x and 64 digits, integers below 2^53 as numbers, larger ones as decimal text."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return value if value < 2**53 else str(value)


def vectors(counts=tuple(COUNTS)):
    assert golden_root().hex() == GOLDEN
    return as_json({
        "chain_id": CHAIN_ID,
        "golden_root": golden_root(),
        "specs": [spec(i) for i in range(3)],
        "jobs": [job(i) for i in range(3)],
        "results": [result(i) for i in range(3)],
        "headers": [header(i) for i in range(3)],
        "rollups": list(rollups(counts)),
        "typed_data": typed_data(),
    })


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=1)
    print()

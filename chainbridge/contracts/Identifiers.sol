// SPDX-License-Identifier: MIT
// The identifiers of a job, its result and a rollup, the leaves of a rollup, and what a job costs: the same bytes as
// base/identifiers.h and chainbridge/rollup.h. Source: chain design, "Identifiers" and "Rollup". Pure functions.
pragma solidity 0.8.37;

// What a job asks for; `H("spec", ...)` takes the fields in this order.
struct Spec {
    bytes32 modelId;
    bytes32 samplingHash;
    bytes32 promptHash;
    uint32 promptTokens;
    uint32 maxCompletionTokens;
    uint64 pricePerPromptToken;
    uint64 pricePerCompletionToken;
    uint64 deadline; // Unix seconds.
    address provider; // The node (its owner's address) that alone may take the job; 0: any node.
}

// `H("rollup", chain id, the rollup contract, ...)` takes the fields in this order.
struct Header {
    address operator; // The node that submits: its owner's address, not its key.
    uint64 sequence; // Of the node's first rollup: 0.
    bytes32 previous; // Header hash of the rollup before; of the first: 0.
    bytes32 root; // Of the standard Merkle tree over the leaves.
    uint64 count; // Leaves.
    bytes32 dataCommitment; // Ordered tree over the receipts' keccak256.
}

// One finished job as it stands in a rollup, with its result hash, output hash and spec hash opened: all three follow
// from these fields.
struct Result {
    uint64 index; // In its rollup.
    bytes32 jobId;
    bytes32 traceRoot;
    bytes32 tokensHash; // keccak256 of the completion's token ids, u32 little-endian.
    uint32 completionTokens;
    uint8 finishReason; // 0 stop, 1 length.
    uint128 price;
    uint64 completedAt; // Unix seconds.
    Spec spec;
}

library Identifiers {
    // A job is assigned once, for no arrow leads from Assigned back to Open.
    uint256 internal constant ATTEMPT = 1;
    uint8 internal constant LEAF_VERSION = 1;

    // In assembly, for the same reason as hashesOf below. It takes the words as they are; a job is posted only on words
    // that fit their types, so that no others lead to a job.
    function specHash(Spec calldata spec) internal pure returns (bytes32 hash) {
        bytes32 tag = keccak256("lockstep.spec.v1");
        assembly ("memory-safe") {
            let words := mload(0x40) // Behind it, nothing is kept.
            mstore(words, tag)
            calldatacopy(add(words, 0x20), spec, 0x120)
            hash := keccak256(words, 0x140)
        }
    }

    // Below 2^97, so that nothing here can overflow.
    function priceOf(Spec calldata spec, uint32 completionTokens) internal pure returns (uint128) {
        unchecked {
            return uint128(spec.promptTokens) * spec.pricePerPromptToken
                + uint128(completionTokens) * spec.pricePerCompletionToken;
        }
    }

    function jobId(address escrow, address client, uint64 clientNonce) internal view returns (bytes32) {
        return keccak256(abi.encode(keccak256("lockstep.job.v1"), block.chainid, escrow, client, clientNonce));
    }

    // The result hash, and the leaf of its rollup: keccak256(keccak256(abi.encode(version, index, job id, spec hash,
    // result hash, trace root, price, completed at))), hashed twice so that no inner node can pass for a leaf. In
    // assembly, since a batch pays for it once a leaf; the words are those of `result` in its order.
    function hashesOf(Result calldata result, bytes32 spec) internal pure returns (bytes32 resultHash, bytes32 leaf) {
        bytes32 outputTag = keccak256("lockstep.output.v1");
        bytes32 resultTag = keccak256("lockstep.result.v1");
        assembly ("memory-safe") {
            let words := mload(0x40) // Behind it, nothing is kept.
            mstore(words, outputTag)
            calldatacopy(add(words, 0x20), add(result, 0x60), 0x60) // Tokens hash, their count, finish reason.
            let output := keccak256(words, 0x80)

            mstore(words, resultTag)
            mstore(add(words, 0x20), calldataload(add(result, 0x20))) // Job id.
            mstore(add(words, 0x40), ATTEMPT)
            mstore(add(words, 0x60), spec)
            mstore(add(words, 0x80), output)
            mstore(add(words, 0xa0), calldataload(add(result, 0x40))) // Trace root.
            resultHash := keccak256(words, 0xc0)

            mstore(words, LEAF_VERSION)
            calldatacopy(add(words, 0x20), result, 0x40) // Index, job id.
            mstore(add(words, 0x60), spec)
            mstore(add(words, 0x80), resultHash)
            // The trace root lies where it lay.
            calldatacopy(add(words, 0xc0), add(result, 0xc0), 0x40) // Price, completed at.
            mstore(0x00, keccak256(words, 0x100))
            leaf := keccak256(0x00, 0x20)
        }
    }

    function headerHash(address rollup, Header calldata header) internal view returns (bytes32) {
        return keccak256(abi.encode(keccak256("lockstep.rollup.v1"), block.chainid, rollup, header));
    }
}

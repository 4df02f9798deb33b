// SPDX-License-Identifier: MIT
// The identifiers once more, over memory, as the chain design states them. Vectors.t.sol holds these and the
// contracts' own against the same file.
pragma solidity 0.8.37;

import {Header, Result, Spec} from "../src/Identifiers.sol";

library Hashes {
    function specHash(Spec memory spec) internal pure returns (bytes32) {
        return keccak256(abi.encode(keccak256("lockstep.spec.v1"), spec));
    }

    function resultHash(Result memory result) internal pure returns (bytes32) {
        return resultHash(result, specHash(result.spec));
    }

    function resultHash(Result memory result, bytes32 spec) internal pure returns (bytes32) {
        bytes32 output = keccak256(
            abi.encode(
                keccak256("lockstep.output.v1"), result.tokensHash, result.completionTokens, result.finishReason
            )
        );
        return keccak256(
            abi.encode(
                keccak256("lockstep.result.v1"), result.jobId, uint256(1), spec, output, result.traceRoot
            )
        );
    }

    function leafHash(Result memory result) internal pure returns (bytes32) {
        bytes32 spec = specHash(result.spec);
        return leafHash(result, spec, resultHash(result, spec));
    }

    function leafHash(Result memory result, bytes32 spec, bytes32 resultHash_) internal pure returns (bytes32) {
        bytes memory leaf = abi.encode(
            uint8(1),
            uint256(result.index),
            result.jobId,
            spec,
            resultHash_,
            result.traceRoot,
            result.price,
            result.completedAt
        );
        return keccak256(bytes.concat(keccak256(leaf)));
    }

    function headerHash(address rollup, Header memory header) internal view returns (bytes32) {
        return keccak256(abi.encode(keccak256("lockstep.rollup.v1"), block.chainid, rollup, header));
    }
}

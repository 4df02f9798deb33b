// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {PostOrder} from "../src/interfaces/IJobEscrow.sol";

library Orders {
    bytes private constant SPEC_TYPE = "Spec(bytes32 modelId,bytes32 samplingHash,bytes32 promptHash,"
        "uint32 promptTokens,uint32 maxCompletionTokens,uint64 pricePerPromptToken,uint64 pricePerCompletionToken,"
        "uint64 deadline,address provider)";
    bytes private constant ORDER_TYPE =
        "PostOrder(address client,uint64 clientNonce,Spec spec,bytes32 salt,uint64 expiry)";

    // The struct hash that EIP-712 has signed.
    function contentOf(PostOrder memory order) internal pure returns (bytes32) {
        bytes32 typeHash = keccak256(bytes.concat(ORDER_TYPE, SPEC_TYPE));
        bytes32 spec = keccak256(abi.encode(keccak256(SPEC_TYPE), order.spec));
        return keccak256(abi.encode(typeHash, order.client, order.clientNonce, spec, order.salt, order.expiry));
    }
}

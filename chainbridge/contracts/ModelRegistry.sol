// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IModelRegistry, Model} from "./interfaces/IModelRegistry.sol";

// Keeps one word an entry, the hash of its content; the content itself is in the event.
contract ModelRegistry is IModelRegistry {
    uint256 private constant MOST_CIDS = 16;
    uint256 private constant LONGEST_CID = 128;

    mapping(address registrant => mapping(bytes32 modelId => bytes32)) public contentHashOf;
    mapping(address registrant => mapping(bytes32 modelId => bool)) public isDeprecated;

    function register(bytes32 modelId, Model calldata model) external returns (bytes32 contentHash) {
        if (modelId == 0) revert ZeroModelId();
        contentHash = keccak256(abi.encode(model));
        bytes32 registered = contentHashOf[msg.sender][modelId];
        if (registered == contentHash) return contentHash;
        if (registered != 0) revert ContentDiffers(modelId, msg.sender);

        if (model.cids.length > MOST_CIDS) revert TooManyCids(model.cids.length);
        for (uint256 i = 0; i < model.cids.length; ++i) {
            if (bytes(model.cids[i]).length > LONGEST_CID) revert CidTooLong(i);
        }
        contentHashOf[msg.sender][modelId] = contentHash;
        emit ModelRegistered(modelId, msg.sender, contentHash, model);
    }

    function deprecate(bytes32 modelId) external {
        if (contentHashOf[msg.sender][modelId] == 0) revert ModelNotRegistered(modelId, msg.sender);
        if (isDeprecated[msg.sender][modelId]) return;
        isDeprecated[msg.sender][modelId] = true;
        emit ModelDeprecated(modelId, msg.sender);
    }
}

// SPDX-License-Identifier: MIT
// Who vouches for which model. An entry belongs to its registrant: it never changes, and its deprecation speaks for
// that registrant alone. No contract asks this one, so nothing here can stop a job.
pragma solidity 0.8.37;

struct Model {
    bytes32 sha256Hash; // Of the source file.
    bytes32 parent; // The model_id that this one was made from; 0 for none.
    uint64 flags; // For the registrant's use; no meaning here.
    string[] cids; // Where the store's files are; at most 16 of at most 128 bytes.
}

interface IModelRegistry {
    event ModelRegistered(bytes32 indexed modelId, address indexed registrant, bytes32 contentHash, Model model);
    event ModelDeprecated(bytes32 indexed modelId, address indexed registrant);

    error ZeroModelId();
    error ContentDiffers(bytes32 modelId, address registrant);
    error TooManyCids(uint256 count);
    error CidTooLong(uint256 index);
    error ModelNotRegistered(bytes32 modelId, address registrant);

    // The same content again: no effect; other content: reverts.
    function register(bytes32 modelId, Model calldata model) external returns (bytes32 contentHash);
    // Again: no effect.
    function deprecate(bytes32 modelId) external;

    // keccak256(abi.encode(model)); 0 when there is no such entry.
    function contentHashOf(address registrant, bytes32 modelId) external view returns (bytes32);
    function isDeprecated(address registrant, bytes32 modelId) external view returns (bool);
}

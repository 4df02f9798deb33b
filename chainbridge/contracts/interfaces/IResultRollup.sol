// SPDX-License-Identifier: MIT
// Rollups of results: headers that each node links into a chain of its own, and claims against them.
pragma solidity 0.8.37;

import {Header, Result} from "../Identifiers.sol";

struct Record {
    bytes32 headerHash; // 0: nothing recorded.
    uint40 recordedAt;
    bool finalized;
}

// A header as its signer saw it: EIP-712 type
//   RollupHeader(address operator,uint64 sequence,bytes32 previous,bytes32 root,uint64 count,bytes32 dataCommitment)
interface IResultRollup {
    event RollupRecorded(
        address indexed operator, uint64 indexed sequence, bytes32 indexed headerHash, Header header
    );
    event RollupFinal(address indexed operator, uint64 indexed sequence, bytes32 indexed headerHash);
    event Equivocation(
        address indexed operator, uint64 indexed sequence, bytes32 first, bytes32 second, address reporter
    );

    error UnknownOperator(address operator);
    error OperatorBanned(address operator);
    error BadHeaderSignature(address operator);
    error HeaderDiffers(address operator, uint64 sequence, bytes32 recorded, bytes32 given);
    error SequenceGap(address operator, uint64 expected, uint64 given);
    error WrongPrevious(address operator, bytes32 expected, bytes32 given);
    error CountOutOfRange(uint64 count);
    error NotRecorded(bytes32 headerHash);
    error WindowOpen(uint64 until);
    error IndexOutOfRange(uint64 index, uint64 count);
    error ProofTooLong(uint256 given, uint256 most);
    error NotInRollup(bytes32 leafHash);
    error TooManyTokens(bytes32 jobId, uint32 most, uint32 given);
    error PriceDiffers(bytes32 jobId, uint256 due, uint256 given);
    error AlreadyClaimed(bytes32 headerHash, uint64 index);
    error GameOpen(bytes32 leafHash);
    error LeafRefuted(bytes32 leafHash);
    error NotRefuted(bytes32 leafHash);
    error JobNotAssigned(bytes32 jobId);
    error NoEquivocation();
    error WrongWiring();
    error ClaimPeriodTooShort(uint64 claimPeriod, uint64 longestGame);
    error UnstakeDelayTooShort(uint64 unstakeDelay, uint64 needed);

    // Records the node's next header. The signature is of its operator key, and may be empty when that key is the
    // caller. The same header again: no effect; another one at a recorded sequence: reverts.
    function submit(Header calldata header, bytes calldata signature) external returns (bytes32 headerHash);
    // Two headers of one node at one sequence, each recorded or signed: the node is banned and loses its stake.
    function proveEquivocation(
        Header calldata first,
        bytes calldata firstSignature,
        Header calldata second,
        bytes calldata secondSignature
    ) external;
    // After the window, by anyone. Again: no effect. A claim does it by itself.
    function finalize(Header calldata header) external;

    // Pays one job. By anyone; the money goes to the node's owner and the client.
    function claim(Header calldata header, Result calldata result, bytes32[] calldata proof) external;
    // Pays many jobs by one multiproof (OpenZeppelin's; `results` in the order of its leaves). What is claimed
    // already, in dispute, or no longer assigned is skipped, so that nobody can spoil a batch by claiming one of its
    // leaves.
    function settleMany(
        Header calldata header,
        Result[] calldata results,
        bytes32[] calldata proof,
        bool[] calldata proofFlags
    ) external returns (uint256 settled);
    // A leaf that lost a dispute game: its job is slashed.
    function slashRefuted(Header calldata header, Result calldata result, bytes32[] calldata proof) external;

    function registry() external view returns (address);
    function escrow() external view returns (address);
    function disputes() external view returns (address); // 0: none.
    function window() external view returns (uint64);
    function longestGame() external view returns (uint64);
    function headerHashOf(Header calldata header) external view returns (bytes32);
    function recordOf(address operator, uint64 sequence) external view returns (Record memory);
    function nextSequenceOf(address operator) external view returns (uint64);
    function isClaimed(bytes32 headerHash, uint64 index) external view returns (bool);
}

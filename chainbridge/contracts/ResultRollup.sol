// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Header, Identifiers, Result, Spec} from "./Identifiers.sol";
import {IDisputeGame, LeafStatus} from "./interfaces/IDisputeGame.sol";
import {IJobEscrow, Settlement} from "./interfaces/IJobEscrow.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IResultRollup, Record} from "./interfaces/IResultRollup.sol";

// Holds no money: what it proves, the escrow pays.
contract ResultRollup is IResultRollup, EIP712 {
    bytes32 private constant HEADER_TYPE = keccak256(
        "RollupHeader(address operator,uint64 sequence,bytes32 previous,bytes32 root,uint64 count,"
        "bytes32 dataCommitment)"
    );
    uint64 private constant MOST_LEAVES = 1 << 20;

    // What a claim has found out about its rollup.
    struct Rollup {
        bytes32 headerHash;
        address operator;
        uint32 node;
        uint64 recordedAt;
    }

    struct Batch {
        bytes32[] leaves;
        Settlement[] settlements; // Those that may be paid,
        uint64[] indices; // and their indices.
        uint256 count; // Of them.
        // One word of the claimed bitmap: leaves in a row that share it cost one read and one write.
        uint256 place;
        uint256 stored;
        uint256 word;
    }

    address public immutable registry;
    address public immutable escrow;
    address public immutable disputes;
    uint64 public immutable window;
    uint64 public immutable longestGame;

    mapping(address operator => uint64) public nextSequenceOf;
    mapping(address operator => mapping(uint64 sequence => Record)) private _records;
    mapping(bytes32 headerHash => mapping(uint256 place => uint256)) private _claimed; // 256 indices a word.

    constructor(address registry_, address escrow_, address disputes_) EIP712("Lockstep", "1") {
        registry = registry_;
        escrow = escrow_;
        disputes = disputes_;
        window = IJobEscrow(escrow_).window();
        longestGame = disputes_ == address(0) ? 0 : IDisputeGame(disputes_).longestGame();
        _checkWiring();
    }

    // ------------------------------------------------------------------ the node

    function submit(Header calldata header, bytes calldata signature) external returns (bytes32 headerHash) {
        headerHash = headerHashOf(header);
        address operator = header.operator;
        uint64 sequence = header.sequence;
        bytes32 recorded = _records[operator][sequence].headerHash;
        if (recorded == headerHash) return headerHash;
        if (recorded != 0) revert HeaderDiffers(operator, sequence, recorded, headerHash);
        _requireSubmitter(header, signature);

        uint64 next = nextSequenceOf[operator];
        if (sequence != next) revert SequenceGap(operator, next, sequence);
        bytes32 last = sequence == 0 ? bytes32(0) : _records[operator][sequence - 1].headerHash;
        if (header.previous != last) revert WrongPrevious(operator, last, header.previous);
        if (header.count == 0 || header.count > MOST_LEAVES) revert CountOutOfRange(header.count);

        nextSequenceOf[operator] = sequence + 1;
        _records[operator][sequence] = Record(headerHash, uint40(block.timestamp), false);
        emit RollupRecorded(operator, sequence, headerHash, header);
    }

    // ------------------------------------------------------------------ anyone

    function proveEquivocation(
        Header calldata first,
        bytes calldata firstSignature,
        Header calldata second,
        bytes calldata secondSignature
    ) external {
        bytes32 one = headerHashOf(first);
        bytes32 other = headerHashOf(second);
        if (one == other || first.operator != second.operator || first.sequence != second.sequence) {
            revert NoEquivocation();
        }
        uint32 node = INodeRegistry(registry).idOf(first.operator);
        if (node == 0) revert UnknownOperator(first.operator);
        _requireStoodFor(node, first, one, firstSignature);
        _requireStoodFor(node, second, other, secondSignature);
        emit Equivocation(first.operator, first.sequence, one, other, msg.sender);
        INodeRegistry(registry).ban(node, msg.sender);
    }

    function finalize(Header calldata header) external {
        _requireFinal(header);
    }

    function claim(Header calldata header, Result calldata result, bytes32[] calldata proof) external {
        Rollup memory rollup = _requireFinal(header);
        (bytes32 leaf, bytes32 specHash, bytes32 resultHash) = _requireProven(header, result, proof);
        if (isClaimed(rollup.headerHash, result.index)) revert AlreadyClaimed(rollup.headerHash, result.index);
        LeafStatus status = _statusOf(rollup, leaf);
        if (status == LeafStatus.Refuted) revert LeafRefuted(leaf);
        if (status == LeafStatus.Open) revert GameOpen(leaf);

        Settlement[] memory settlements = new Settlement[](1);
        _fill(settlements[0], result, specHash, resultHash);
        bool[] memory paid =
            IJobEscrow(escrow).settle(rollup.operator, rollup.node, rollup.recordedAt, settlements);
        if (!paid[0]) revert JobNotAssigned(result.jobId);
        _claimed[rollup.headerHash][result.index >> 8] |= _bitOf(result.index);
    }

    function settleMany(
        Header calldata header,
        Result[] calldata results,
        bytes32[] calldata proof,
        bool[] calldata proofFlags
    ) external returns (uint256 settled) {
        Rollup memory rollup = _requireFinal(header);
        Batch memory batch = _open(rollup, header, results);
        // Every leaf and every node of a proof covers leaves of its own.
        if (results.length + proof.length > header.count) revert ProofTooLong(proof.length, header.count);
        if (!MerkleProof.multiProofVerifyCalldata(proof, proofFlags, header.root, batch.leaves)) {
            revert NotInRollup(header.root);
        }

        bool[] memory paid =
            IJobEscrow(escrow).settle(rollup.operator, rollup.node, rollup.recordedAt, batch.settlements);
        settled = paid.length;
        for (uint256 i = 0; i < paid.length; ++i) {
            if (paid[i]) continue;
            _claimed[rollup.headerHash][batch.indices[i] >> 8] &= ~_bitOf(batch.indices[i]);
            --settled;
        }
    }

    function slashRefuted(Header calldata header, Result calldata result, bytes32[] calldata proof) external {
        bytes32 headerHash = headerHashOf(header);
        if (_records[header.operator][header.sequence].headerHash != headerHash) revert NotRecorded(headerHash);
        (bytes32 leaf,,) = _requireProven(header, result, proof);
        if (disputes == address(0)) revert NotRefuted(leaf);
        (LeafStatus status, address challenger) = IDisputeGame(disputes).statusOf(headerHash, leaf);
        if (status != LeafStatus.Refuted) revert NotRefuted(leaf);
        uint32 node = INodeRegistry(registry).idOf(header.operator);
        IJobEscrow(escrow).slashRefuted(result.jobId, result.spec, header.operator, node, challenger);
    }

    // ------------------------------------------------------------------ views

    function headerHashOf(Header calldata header) public view returns (bytes32) {
        return Identifiers.headerHash(address(this), header);
    }

    function recordOf(address operator, uint64 sequence) external view returns (Record memory) {
        return _records[operator][sequence];
    }

    function isClaimed(bytes32 headerHash, uint64 index) public view returns (bool) {
        return _claimed[headerHash][index >> 8] & _bitOf(index) != 0;
    }

    // ------------------------------------------------------------------ private

    function _checkWiring() private view {
        INodeRegistry nodes = INodeRegistry(registry);
        IJobEscrow jobs = IJobEscrow(escrow);
        if (
            nodes.escrow() != escrow || nodes.rollup() != address(this) || jobs.registry() != registry
                || jobs.rollup() != address(this) || nodes.token() != jobs.token()
        ) revert WrongWiring();
        uint64 needed = jobs.longestDeadline() + window + longestGame;
        if (nodes.unstakeDelay() <= needed) revert UnstakeDelayTooShort(nodes.unstakeDelay(), needed);
        // Whoever waits for a game to end has time left to claim.
        if (jobs.claimPeriod() <= longestGame) revert ClaimPeriodTooShort(jobs.claimPeriod(), longestGame);
    }

    function _requireSubmitter(Header calldata header, bytes calldata signature) private view {
        (uint32 node, address key, bool banned) = INodeRegistry(registry).operatorOf(header.operator);
        if (node == 0) revert UnknownOperator(header.operator);
        if (banned) revert OperatorBanned(header.operator);
        if (msg.sender != key && _signerOf(header, signature) != key) revert BadHeaderSignature(header.operator);
    }

    // The rollup of a header whose window is over and whose node is not banned; final from then on.
    function _requireFinal(Header calldata header) private returns (Rollup memory rollup) {
        bytes32 headerHash = headerHashOf(header);
        Record storage record = _records[header.operator][header.sequence];
        if (record.headerHash != headerHash) revert NotRecorded(headerHash);
        uint64 until = record.recordedAt + window;
        if (block.timestamp < until) revert WindowOpen(until);
        (uint32 node,, bool banned) = INodeRegistry(registry).operatorOf(header.operator);
        if (banned) revert OperatorBanned(header.operator);
        if (!record.finalized) {
            record.finalized = true;
            emit RollupFinal(header.operator, header.sequence, headerHash);
        }
        return Rollup(headerHash, header.operator, node, record.recordedAt);
    }

    function _requireProven(Header calldata header, Result calldata result, bytes32[] calldata proof)
        private
        pure
        returns (bytes32 leaf, bytes32 specHash, bytes32 resultHash)
    {
        if (result.index >= header.count) revert IndexOutOfRange(result.index, header.count);
        uint256 most = Math.log2(header.count, Math.Rounding.Ceil);
        if (proof.length > most) revert ProofTooLong(proof.length, most);
        specHash = Identifiers.specHash(result.spec);
        (resultHash, leaf) = Identifiers.hashesOf(result, specHash);
        if (!MerkleProof.verifyCalldata(proof, header.root, leaf)) revert NotInRollup(leaf);
    }

    // Hashes the leaves, and marks and collects those that may be paid.
    function _open(Rollup memory rollup, Header calldata header, Result[] calldata results)
        private
        returns (Batch memory batch)
    {
        batch.leaves = new bytes32[](results.length);
        batch.settlements = new Settlement[](results.length);
        batch.indices = new uint64[](results.length);
        _readWord(rollup.headerHash, batch, 0);
        for (uint256 i = 0; i < results.length; ++i) _openOne(rollup, header.count, batch, results[i], i);
        _writeWord(rollup.headerHash, batch);
        uint256 count = batch.count;
        Settlement[] memory collected = batch.settlements;
        assembly ("memory-safe") {
            mstore(collected, count) // Only shorter: what was left out is not sent.
        }
    }

    function _openOne(Rollup memory rollup, uint64 count, Batch memory batch, Result calldata result, uint256 i)
        private
    {
        uint64 index = result.index;
        if (index >= count) revert IndexOutOfRange(index, count);
        bytes32 specHash = Identifiers.specHash(result.spec);
        (bytes32 resultHash, bytes32 leaf) = Identifiers.hashesOf(result, specHash);
        batch.leaves[i] = leaf;
        if (_statusOf(rollup, leaf) != LeafStatus.None || !_mark(rollup.headerHash, batch, index)) return;
        batch.indices[batch.count] = index;
        _fill(batch.settlements[batch.count++], result, specHash, resultHash);
    }

    // Whether the index was not claimed yet; now it is.
    function _mark(bytes32 headerHash, Batch memory batch, uint64 index) private returns (bool) {
        if (batch.place != index >> 8) {
            _writeWord(headerHash, batch);
            _readWord(headerHash, batch, index >> 8);
        }
        if (batch.word & _bitOf(index) != 0) return false;
        batch.word |= _bitOf(index);
        return true;
    }

    function _readWord(bytes32 headerHash, Batch memory batch, uint256 place) private view {
        batch.place = place;
        batch.stored = _claimed[headerHash][place];
        batch.word = batch.stored;
    }

    function _writeWord(bytes32 headerHash, Batch memory batch) private {
        if (batch.word != batch.stored) _claimed[headerHash][batch.place] = batch.word;
    }

    function _bitOf(uint64 index) private pure returns (uint256) {
        return 1 << (index & 0xff);
    }

    // A game that outlives its longest time no longer counts as open: no dispute contract can keep money for ever.
    function _statusOf(Rollup memory rollup, bytes32 leaf) private view returns (LeafStatus status) {
        if (disputes == address(0)) return LeafStatus.None;
        (status,) = IDisputeGame(disputes).statusOf(rollup.headerHash, leaf);
        if (status == LeafStatus.Open && block.timestamp >= rollup.recordedAt + window + longestGame) {
            return LeafStatus.None;
        }
    }

    // Checks what follows from the spec alone.
    function _fill(Settlement memory settlement, Result calldata result, bytes32 specHash, bytes32 resultHash)
        private
        pure
    {
        Spec calldata spec = result.spec;
        if (result.completionTokens > spec.maxCompletionTokens) {
            revert TooManyTokens(result.jobId, spec.maxCompletionTokens, result.completionTokens);
        }
        uint128 due = Identifiers.priceOf(spec, result.completionTokens);
        if (due != result.price) revert PriceDiffers(result.jobId, due, result.price);
        settlement.jobId = result.jobId;
        settlement.specHash = specHash;
        settlement.resultHash = resultHash;
        settlement.cap = Identifiers.priceOf(spec, spec.maxCompletionTokens);
        settlement.price = due;
        settlement.deadline = spec.deadline;
    }

    // The header is recorded, or a key signed it that answers for the node.
    function _requireStoodFor(uint32 node, Header calldata header, bytes32 headerHash, bytes calldata signature)
        private
        view
    {
        if (_records[header.operator][header.sequence].headerHash == headerHash) return;
        address signer = _signerOf(header, signature);
        if (signer == address(0) || !INodeRegistry(registry).answersFor(node, signer)) {
            revert BadHeaderSignature(header.operator);
        }
    }

    function _signerOf(Header calldata header, bytes calldata signature) private view returns (address signer) {
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(HEADER_TYPE, header)));
        (signer,,) = ECDSA.tryRecoverCalldata(digest, signature);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Vault} from "./Vault.sol";
import {Consent, INodeRegistry, Node} from "./interfaces/INodeRegistry.sol";

// For every node locked + leaving <= stake; the stakes and the credits add up to held().
contract NodeRegistry is INodeRegistry, Vault, EIP712 {
    bytes32 private constant CONSENT_TYPE =
        keccak256("OperatorConsent(address owner,address operator,bytes32 salt,uint64 expiry)");
    address private constant BURNED = address(0xdEaD);
    uint256 private constant REPORTER_SHARE = 10; // One part in so many.
    uint64 private constant LONGEST_DELAY = 36_500 days; // Keeps all times within uint40.

    // A key belongs to one node for ever; a retired one still answers for what it signed, for a while.
    struct Key {
        uint32 node;
        uint40 retiredAt; // 0: it operates the node.
    }

    address public immutable escrow;
    address public immutable rollup;
    uint128 public immutable minimumStake;
    uint64 public immutable unstakeDelay;

    uint32 private _count;
    mapping(uint32 node => Node) private _nodes;
    mapping(address owner => uint32) public idOf;
    mapping(address operator => Key) private _keys;

    modifier onlyEscrow() {
        if (msg.sender != escrow) revert NotTheEscrow(msg.sender);
        _;
    }

    modifier onlyRollup() {
        if (msg.sender != rollup) revert NotTheRollup(msg.sender);
        _;
    }

    // The escrow and the rollup are created after this contract, at addresses that their deployer knows beforehand; the
    // rollup, the last of them, checks that all three know each other.
    constructor(address token_, address escrow_, address rollup_, uint128 minimumStake_, uint64 unstakeDelay_)
        Vault(token_)
        EIP712("Lockstep", "1")
    {
        if (escrow_ == address(0) || rollup_ == address(0)) revert ZeroAddress();
        if (unstakeDelay_ > LONGEST_DELAY) revert DelayOutOfRange(unstakeDelay_);
        escrow = escrow_;
        rollup = rollup_;
        minimumStake = minimumStake_;
        unstakeDelay = unstakeDelay_;
    }

    // ------------------------------------------------------------------ the owner

    function register(address operator, uint128 amount, Consent calldata consent)
        external
        payable
        nonReentrant
        returns (uint32 node)
    {
        if (idOf[msg.sender] != 0) revert AlreadyRegistered(msg.sender);
        if (amount < minimumStake) revert StakeTooSmall(amount, minimumStake);
        node = ++_count;
        idOf[msg.sender] = node;
        _nodes[node].owner = msg.sender;
        _nodes[node].stake = amount;
        _setOperator(node, operator, consent);
        emit NodeRegistered(node, msg.sender, operator);
        emit StakeAdded(node, amount);
        _take(msg.sender, amount);
    }

    function addStake(uint128 amount) external payable nonReentrant {
        uint32 node = _mine();
        _nodes[node].stake += amount;
        emit StakeAdded(node, amount);
        _take(msg.sender, amount);
    }

    function rotateOperator(address operator, Consent calldata consent) external {
        uint32 node = _mine();
        address retired = _nodes[node].operator;
        _keys[retired].retiredAt = uint40(block.timestamp);
        _setOperator(node, operator, consent);
        emit OperatorRotated(node, operator, retired);
    }

    function requestUnstake(uint128 amount) external {
        uint32 node = _mine();
        Node storage entry = _nodes[node];
        if (amount == 0) revert NothingToUnstake();
        _requireFree(entry, amount);
        uint40 leavesAt = uint40(block.timestamp + unstakeDelay);
        entry.leaving += amount;
        entry.leavesAt = leavesAt;
        emit UnstakeRequested(node, amount, entry.leaving, leavesAt);
    }

    function unstake() external {
        uint32 node = _mine();
        Node storage entry = _nodes[node];
        uint128 amount = entry.leaving;
        if (amount == 0) revert NothingToUnstake();
        if (block.timestamp < entry.leavesAt) revert StakeStillLocked(entry.leavesAt);
        entry.stake -= amount;
        entry.leaving = 0;
        entry.leavesAt = 0;
        _credit(entry.owner, amount);
        emit StakeReturned(node, amount);
    }

    // ------------------------------------------------------------------ the escrow

    function lock(bytes32 jobId, uint32 node, uint128 amount) external onlyEscrow {
        Node storage entry = _nodes[node];
        if (entry.banned) revert Banned(node);
        uint256 staying = entry.stake - entry.leaving;
        if (staying < minimumStake) revert StakeTooSmall(staying, minimumStake);
        _requireFree(entry, amount);
        entry.locked += amount;
        emit BondLocked(jobId, node, amount);
    }

    function release(uint32 node, uint128 amount) external onlyEscrow {
        _nodes[node].locked -= amount;
    }

    function forfeit(bytes32 jobId, uint32 node, uint128 amount, address client, address challenger)
        external
        onlyEscrow
    {
        Node storage entry = _nodes[node];
        entry.locked -= amount;
        entry.stake -= amount;
        uint128 reward = challenger == address(0) ? 0 : amount / 2;
        _credit(challenger, reward);
        _credit(client, amount - reward);
        if (reward != 0) emit BondForfeited(jobId, node, challenger, reward);
        emit BondForfeited(jobId, node, client, amount - reward);
    }

    // ------------------------------------------------------------------ the rollup

    function ban(uint32 node, address reporter) external onlyRollup {
        Node storage entry = _nodes[node];
        if (entry.banned) revert Banned(node);
        uint128 taken = entry.stake - entry.locked; // What waits to leave is in it.
        entry.banned = true;
        entry.stake = entry.locked;
        entry.leaving = 0;
        entry.leavesAt = 0;
        uint256 reward = taken / REPORTER_SHARE;
        _credit(reporter, reward);
        _credit(BURNED, taken - reward);
        emit NodeBanned(node, reporter, reward, taken - reward);
    }

    // ------------------------------------------------------------------ views

    function nodeOf(uint32 node) external view returns (Node memory) {
        return _nodes[node];
    }

    function isBanned(uint32 node) external view returns (bool) {
        return _nodes[node].banned;
    }

    function operatedBy(address operator) external view returns (uint32 node, address owner) {
        Key storage key = _keys[operator];
        if (key.retiredAt == 0) node = key.node;
        owner = _nodes[node].owner;
    }

    function operatorOf(address owner) external view returns (uint32 node, address operator, bool banned) {
        node = idOf[owner];
        operator = _nodes[node].operator;
        banned = _nodes[node].banned;
    }

    function answersFor(uint32 node, address operator) external view returns (bool) {
        Key storage key = _keys[operator];
        if (node == 0 || key.node != node) return false;
        return key.retiredAt == 0 || block.timestamp < key.retiredAt + unstakeDelay;
    }

    function freeStakeOf(uint32 node) external view returns (uint256) {
        Node storage entry = _nodes[node];
        return entry.stake - entry.locked - entry.leaving;
    }

    // ------------------------------------------------------------------ private

    function _mine() private view returns (uint32 node) {
        node = idOf[msg.sender];
        if (node == 0) revert UnknownNode(msg.sender);
        if (_nodes[node].banned) revert Banned(node);
    }

    function _requireFree(Node storage entry, uint128 amount) private view {
        uint256 free = entry.stake - entry.locked - entry.leaving;
        if (free < amount) revert NotEnoughStake(free, amount);
    }

    function _setOperator(uint32 node, address operator, Consent calldata consent) private {
        if (operator == address(0)) revert ZeroAddress();
        if (_keys[operator].node != 0) revert KeyTaken(operator);
        if (block.timestamp > consent.expiry) revert ConsentExpired(consent.expiry);
        bytes32 digest =
            _hashTypedDataV4(keccak256(abi.encode(CONSENT_TYPE, msg.sender, operator, consent.salt, consent.expiry)));
        (address signer,,) = ECDSA.tryRecoverCalldata(digest, consent.signature);
        if (signer != operator) revert BadConsent(operator);
        _keys[operator].node = node;
        _nodes[node].operator = operator;
    }
}

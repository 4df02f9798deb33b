// SPDX-License-Identifier: MIT
// Stakes of nodes. A node is known by the address of its owner (cold key), who is paid and who alone moves stake and
// changes the operator key (hot key); the operator key takes jobs and signs rollup headers.
pragma solidity 0.8.37;

import {IVault} from "./IVault.sol";

struct Node {
    address owner; // Cold key; the node's identity, never changes.
    bool banned; // Has equivocated: takes no job, submits no rollup, is paid nothing.
    uint40 leavesAt; // When `leaving` may be taken out; 0: nothing leaves.
    address operator; // Hot key.
    uint128 stake; // All of it, with `locked` and `leaving`.
    uint128 locked; // Bonds of assigned jobs.
    uint128 leaving; // Waits for `leavesAt`; backs no new job and can still be slashed.
}

// A key's consent to operate a node, so that nobody can take another's key: EIP-712 type
//   OperatorConsent(address owner,address operator,bytes32 salt,uint64 expiry)
// A key operates one node once, so a consent cannot be used twice.
struct Consent {
    bytes32 salt;
    uint64 expiry; // Unix seconds; the last second at which the consent holds.
    bytes signature; // Of the operator key, 65 bytes: a key is no contract, for evidence must not change with time.
}

interface INodeRegistry is IVault {
    event NodeRegistered(uint32 indexed node, address indexed owner, address indexed operator);
    event OperatorRotated(uint32 indexed node, address indexed operator, address indexed retired);
    event StakeAdded(uint32 indexed node, uint256 amount);
    event UnstakeRequested(uint32 indexed node, uint256 amount, uint256 leaving, uint64 leavesAt);
    event StakeReturned(uint32 indexed node, uint256 amount);
    event NodeBanned(uint32 indexed node, address indexed reporter, uint256 reward, uint256 burned);
    event BondLocked(bytes32 indexed jobId, uint32 indexed node, uint256 amount);
    event BondForfeited(bytes32 indexed jobId, uint32 indexed node, address indexed to, uint256 amount);

    error AlreadyRegistered(address owner);
    error UnknownNode(address owner);
    error KeyTaken(address operator);
    error ConsentExpired(uint64 expiry);
    error BadConsent(address operator);
    error StakeTooSmall(uint256 given, uint256 minimum);
    error NotEnoughStake(uint256 free, uint256 needed);
    error NothingToUnstake();
    error StakeStillLocked(uint64 leavesAt);
    error Banned(uint32 node);
    error NotTheEscrow(address caller);
    error NotTheRollup(address caller);
    error DelayOutOfRange(uint64 unstakeDelay);

    // Registers the caller as owner. `amount` is taken as the first stake, at least minimumStake().
    function register(address operator, uint128 amount, Consent calldata consent)
        external
        payable
        returns (uint32 node);
    function addStake(uint128 amount) external payable;
    function rotateOperator(address operator, Consent calldata consent) external;
    // Stake that backs no job starts to leave; a further request makes all that leaves wait anew.
    function requestUnstake(uint128 amount) external;
    // Turns what has waited long enough into a credit of the owner.
    function unstake() external;

    // Called by the escrow: locks a job's bond; frees bonds; gives one to the client, or half of it to the challenger.
    function lock(bytes32 jobId, uint32 node, uint128 amount) external;
    function release(uint32 node, uint128 amount) external;
    function forfeit(bytes32 jobId, uint32 node, uint128 amount, address client, address challenger) external;
    // Called by the rollup: bans a node and takes all stake that backs no job. A tenth goes to the reporter, the rest
    // is burned, so that a node cannot report itself and keep it.
    function ban(uint32 node, address reporter) external;

    function escrow() external view returns (address);
    function rollup() external view returns (address);
    function minimumStake() external view returns (uint128);
    function unstakeDelay() external view returns (uint64);
    function nodeOf(uint32 node) external view returns (Node memory);
    function idOf(address owner) external view returns (uint32); // 0: none.
    // The node that a key operates now, and its owner; 0: none.
    function operatedBy(address operator) external view returns (uint32 node, address owner);
    // An owner's node (0: none), its operator key, and whether it is banned.
    function operatorOf(address owner) external view returns (uint32 node, address operator, bool banned);
    function isBanned(uint32 node) external view returns (bool);
    // Whether a signature of this key can be held against the node: its operator, or retired less than unstakeDelay()
    // ago.
    function answersFor(uint32 node, address operator) external view returns (bool);
    // Stake that is neither locked nor leaving.
    function freeStakeOf(uint32 node) external view returns (uint256);
}

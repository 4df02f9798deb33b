// SPDX-License-Identifier: MIT
// Clients, nodes, reporters and passers-by who try everything, often what is not allowed. A call that is refused
// changes nothing; every job's state and every payment is followed from outside.
pragma solidity 0.8.37;

import {Header, Result, Spec} from "../src/Identifiers.sol";
import {LeafStatus} from "../src/interfaces/IDisputeGame.sol";
import {IJobEscrow, Job, JobState, PostOrder} from "../src/interfaces/IJobEscrow.sol";
import {Model, IModelRegistry} from "../src/interfaces/IModelRegistry.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IResultRollup} from "../src/interfaces/IResultRollup.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {Batches} from "./Batches.sol";
import {Orders} from "./Orders.sol";
import {vm} from "./Vm.sol";

contract Handler is Batches {
    struct Posted {
        bytes32 jobId;
        Spec spec;
        JobState seen;
        uint256 paid; // How many times it became final.
    }

    struct Recorded {
        Header header;
        Result[] results;
        bool lies; // About a price.
    }

    uint256 private constant MOST_JOBS = 64;
    uint256 private constant NODES = 8;

    Posted[] private _posted;
    Recorded[] private _recorded;
    Operator[] private _nodes;
    address[] public accounts; // Everyone who can be owed something.
    string public wrong; // The first rule that was broken.
    mapping(string selector => uint256) private _calls;
    mapping(string selector => uint256) private _successes;
    string[] private _selectors;

    function setUp() public override {
        super.setUp();
        _nodes.push(ann);
        _nodes.push(bob);
        accounts.push(client);
        accounts.push(otherClient);
        accounts.push(stranger);
        accounts.push(address(0xdEaD));
        accounts.push(ann.owner);
        accounts.push(bob.owner);
        for (uint256 i = 0; i < 4; ++i) postJob(i, i, false);
    }

    // ------------------------------------------------------------------ what anyone may try

    function postJob(uint256 who, uint256 nonce, bool other) public {
        if (_posted.length == MOST_JOBS) nonce %= 4;
        Spec memory spec = _spec();
        if (other) ++spec.pricePerPromptToken;
        spec.maxCompletionTokens = uint32(10 + nonce % 90);
        spec.deadline = uint64(block.timestamp) + uint64(1 + nonce % (LONGEST_DEADLINE + 1 hours));
        address from = who % 2 == 0 ? client : otherClient;
        uint64 clientNonce = uint64(nonce % 1024);
        uint256 value = _value(_capOf(spec));
        bytes32 jobId = escrow.jobIdOf(from, clientNonce);
        bool known = escrow.isNonceUsed(from, clientNonce);
        bytes memory data = abi.encodeCall(IJobEscrow.post, (spec, clientNonce, ""));
        if (!_try("post", from, address(escrow), value, data)) return;
        if (known && value != 0) _break("a post of a known job took value");
        if (!known) _follow(jobId, spec);
    }

    function postOrder(uint256 nonce, uint256 late) external {
        if (_posted.length == MOST_JOBS) return;
        PostOrder memory order =
            PostOrder(client, uint64(1000 + nonce % 1000), _spec(), bytes32(nonce % 8), uint64(block.timestamp));
        if (late % 4 == 0) --order.expiry;
        if (escrow.isNonceUsed(client, order.clientNonce)) return;
        bytes memory signature = _sign(CLIENT_KEY, Orders.contentOf(order), address(escrow), block.chainid);
        bytes memory data = abi.encodeCall(IJobEscrow.postFor, (order, signature, ""));
        if (!_try("postFor", stranger, address(escrow), _value(CAP), data)) return;
        _follow(escrow.jobIdOf(client, order.clientNonce), order.spec);
    }

    function _follow(bytes32 jobId, Spec memory spec) private {
        _specs[jobId] = spec;
        _posted.push(Posted(jobId, spec, JobState.Open, 0));
    }

    function revokeOrder(uint256 salt) external {
        bytes memory data = abi.encodeCall(IJobEscrow.revokeOrder, (bytes32(100 + salt % 8)));
        _try("revokeOrder", client, address(escrow), 0, data);
    }

    function assignJob(uint256 job, uint256 node) external {
        Posted storage posted = _job(job);
        address hot = _nodes[node % _nodes.length].hot;
        _try("assign", hot, address(escrow), 0, abi.encodeCall(IJobEscrow.assign, (posted.jobId, posted.spec)));
    }

    function assignSome(uint256 job, uint256 node) external {
        uint256 some = 1 + job % 3;
        for (uint256 i = 0; i < _posted.length && some > 0; ++i) {
            Posted storage posted = _posted[(job % _posted.length + i) % _posted.length];
            if (_stateOf(posted.jobId) != JobState.Open) continue;
            address hot = _nodes[node % _nodes.length].hot;
            _try("assign", hot, address(escrow), 0, abi.encodeCall(IJobEscrow.assign, (posted.jobId, posted.spec)));
            --some;
        }
    }

    function cancelJob(uint256 job, uint256 who) external {
        (bool found, uint256 i) = _search(job, _isOpen);
        if (!found && who % 4 != 0) return;
        bytes32 jobId = _posted[i].jobId;
        address from = who % 5 == 0 ? stranger : _jobOf(jobId).client;
        _try("cancel", from, address(escrow), 0, abi.encodeCall(IJobEscrow.cancel, (jobId, _specs[jobId])));
    }

    function expireJob(uint256 job) external {
        (bool found, uint256 i) = _search(job, _isDue);
        if (!found) {
            (found, i) = _search(job, _isUnpaid);
            if (!found) return;
            if (job % 4 != 0) vm.warp(escrow.expiresAt(_specs[_posted[i].jobId]) + 1);
        }
        bytes32 jobId = _posted[i].jobId;
        uint64 end = escrow.expiresAt(_specs[jobId]);
        bytes memory data = abi.encodeCall(IJobEscrow.expire, (jobId, _specs[jobId]));
        if (!_try("expire", stranger, address(escrow), 0, data)) return;
        if (block.timestamp <= end) _break("expired before its time");
    }

    function slashJob(uint256 job) external {
        (bool found, uint256 i) = _search(job, _isOfBanned);
        if (!found && job % 8 != 0) (found, i) = _makeSlashable(job);
        if (!found && job % 4 != 0) return;
        bytes32 jobId = _posted[i].jobId;
        uint32 node = _jobOf(jobId).node;
        bytes memory data = abi.encodeCall(IJobEscrow.slash, (jobId, _specs[jobId]));
        if (!_try("slash", stranger, address(escrow), 0, data)) return;
        if (!registry.isBanned(node)) _break("slashed without a reason");
    }

    function withdraw(uint256 account, bool fromRegistry, bool elsewhere) external {
        address vault = fromRegistry ? address(registry) : address(escrow);
        address owed = accounts[account % accounts.length];
        for (uint256 i = 0; i < accounts.length && IVault(vault).creditOf(owed) == 0; ++i) {
            owed = accounts[(account % accounts.length + i) % accounts.length];
        }
        uint256 credit = IVault(vault).creditOf(owed);
        if (credit == 0 && account % 4 != 0) return;
        address to = elsewhere ? address(0xfee1) : owed;
        uint256 before = _balance(to);
        bytes memory data =
            elsewhere ? abi.encodeCall(IVault.withdrawTo, (to)) : abi.encodeCall(IVault.withdraw, (owed));
        if (!_try(elsewhere ? "withdrawTo" : "withdraw", elsewhere ? owed : stranger, vault, 0, data)) return;
        if (_balance(to) - before != credit || credit == 0) _break("paid something else than the credit");
    }

    // ------------------------------------------------------------------ nodes

    function registerNode(uint256 amount) public {
        if (_nodes.length == NODES) return;
        uint256 key = 0xd0 + _nodes.length;
        address owner = address(uint160(0xd000 + _nodes.length));
        _fund(owner);
        uint128 stake = uint128(amount % (2 * MINIMUM_STAKE)) + 600;
        bytes memory data = abi.encodeCall(INodeRegistry.register, (vm.addr(key), stake, _consent(owner, key)));
        if (!_try("register a node", owner, address(registry), _value(stake), data)) return;
        _nodes.push(Operator(owner, key, vm.addr(key), registry.idOf(owner)));
        accounts.push(owner);
    }

    function addStake(uint256 node, uint128 amount) external {
        amount = amount % 1000 + 1;
        bytes memory data = abi.encodeCall(INodeRegistry.addStake, (amount));
        _try("addStake", _nodes[node % _nodes.length].owner, address(registry), _value(amount), data);
    }

    function rotate(uint256 node) external {
        Operator storage operator = _nodes[node % _nodes.length];
        uint256 key = uint256(keccak256(abi.encode(operator.key))) >> 16;
        bytes memory data =
            abi.encodeCall(INodeRegistry.rotateOperator, (vm.addr(key), _consent(operator.owner, key)));
        if (!_try("rotateOperator", operator.owner, address(registry), 0, data)) return;
        operator.key = key;
        operator.hot = vm.addr(key);
    }

    function requestUnstake(uint256 node, uint128 amount) external {
        Operator storage operator = _nodes[node % _nodes.length];
        bytes memory data = abi.encodeCall(INodeRegistry.requestUnstake, (amount % 500));
        _try("requestUnstake", operator.owner, address(registry), 0, data);
    }

    function unstake(uint256 node, uint256 patience) external {
        Operator storage operator = _nodes[node % _nodes.length];
        uint40 leavesAt = registry.nodeOf(operator.node).leavesAt;
        if (leavesAt == 0) return;
        if (patience % 2 == 0 && block.timestamp < leavesAt) vm.warp(leavesAt);
        if (!_try("unstake", operator.owner, address(registry), 0, abi.encodeCall(INodeRegistry.unstake, ()))) return;
        if (block.timestamp < leavesAt) _break("stake left before its time");
    }

    // ------------------------------------------------------------------ rollups

    // The node's assigned jobs, or some that are not its own, in its next header.
    function submitRollup(uint256 node, uint256 from, bool wrongPrice) public {
        Operator storage operator = _nodes[node % _nodes.length];
        Result[] memory results = _resultsOf(operator.node, from, wrongPrice);
        Header memory header = _header(operator, results);
        bytes memory data = abi.encodeCall(IResultRollup.submit, (header, ""));
        if (!_try("submit", operator.hot, address(rollup), 0, data)) return;
        Recorded storage recorded = _recorded.push();
        recorded.header = header;
        recorded.lies = wrongPrice && from % 5 == 0;
        for (uint256 i = 0; i < results.length; ++i) recorded.results.push(results[i]);
    }

    function finalizeRollup(uint256 which, bool patient) external {
        if (_recorded.length == 0) return;
        Header memory header = _recorded[which % _recorded.length].header;
        if (patient) vm.warp(block.timestamp + WINDOW);
        _try("finalize", stranger, address(rollup), 0, abi.encodeCall(IResultRollup.finalize, (header)));
    }

    function claimResult(uint256 which, uint256 leaf, bool hasty) external {
        (bool found, uint256 r, uint256 i) = _claimable(which, leaf);
        if (!found && !hasty) (found, r, i) = _makeClaimable(which);
        if (_recorded.length == 0) return;
        if (!hasty) vm.warp(block.timestamp + WINDOW);
        Recorded storage recorded = _recorded[r];
        Result[] memory results = recorded.results;
        bytes memory data = abi.encodeCall(IResultRollup.claim, (recorded.header, results[i], _proof(results, i)));
        _try("claim", stranger, address(rollup), 0, data);
    }

    function settleRollup(uint256 which, uint256 chosen, bool hasty) external {
        (bool found, uint256 r,) = _claimable(which, chosen);
        if (!found && !hasty) (found, r,) = _makeClaimable(which);
        if (_recorded.length == 0) return;
        if (!hasty) vm.warp(block.timestamp + WINDOW);
        _try("settleMany", stranger, address(rollup), 0, _settling(_recorded[r], hasty ? chosen : type(uint256).max));
    }

    function _settling(Recorded storage recorded, uint256 chosen) private view returns (bytes memory) {
        Result[] memory results = recorded.results;
        chosen = chosen % (1 << results.length);
        (Result[] memory picked, bytes32[] memory proof, bool[] memory flags) = _pick(results, chosen);
        return abi.encodeCall(IResultRollup.settleMany, (recorded.header, picked, proof, flags));
    }

    function refute(uint256 which, uint256 leaf, uint256 dice) external {
        if (dice % 3 == 0) return;
        (bool found, uint256 r, uint256 i) = _claimable(which, leaf);
        if (!found) (found, r, i) = _makeClaimable(which);
        if (!found) return;
        Recorded storage recorded = _recorded[r];
        Result[] memory results = recorded.results;
        game.set(_leaf(results[i]), dice % 4 == 0 ? LeafStatus.Open : LeafStatus.Refuted, stranger);
        bytes memory data =
            abi.encodeCall(IResultRollup.slashRefuted, (recorded.header, results[i], _proof(results, i)));
        if (_try("slashRefuted", stranger, address(rollup), 0, data) && dice % 4 == 0) _break("slashed in a game");
    }

    function equivocate(uint256 node, uint256 dice) external {
        if (dice % 3 != 0) return; // A ban is for ever,
        uint256 honest = _honestNodes();
        Operator storage operator = _nodes[node % _nodes.length];
        bool forged = honest <= 2; // and somebody has to work.
        if (forged && dice % 12 != 0) return;
        if (registry.isBanned(operator.node) && dice % 12 != 0) return;
        bytes memory data = _evidence(operator, forged ? 0xbad : operator.key, bytes32(dice));
        if (_try("proveEquivocation", stranger, address(rollup), 0, data) && forged) _break("banned by a forgery");
    }

    function _evidence(Operator memory operator, uint256 key, bytes32 seed) private view returns (bytes memory) {
        Header memory first = _header(operator, _one(_result(0, seed, _spec())));
        Header memory second = _header(operator, _one(_result(0, ~seed, _spec())));
        return abi.encodeCall(
            IResultRollup.proveEquivocation, (first, _signHeader(key, first), second, _signHeader(key, second))
        );
    }

    // ------------------------------------------------------------------ models, time

    function registerModel(uint256 id, uint64 flags) external {
        Model memory model = Model(bytes32(id), 0, flags % 2, new string[](0));
        bytes32 before = models.contentHashOf(client, bytes32(id % 8));
        bytes memory data = abi.encodeCall(IModelRegistry.register, (bytes32(id % 8), model));
        _try("register a model", client, address(models), 0, data);
        if (before != 0 && models.contentHashOf(client, bytes32(id % 8)) != before) _break("a model changed");
    }

    function deprecateModel(uint256 id) external {
        bytes32 modelId = bytes32(id % 8);
        if (models.contentHashOf(client, modelId) == 0 && id % 3 != 0) this.registerModel(id, 0);
        _try("deprecate", client, address(models), 0, abi.encodeCall(IModelRegistry.deprecate, (modelId)));
    }

    function waitSome(uint256 time) external {
        vm.warp(block.timestamp + time % 12 hours);
    }

    // ------------------------------------------------------------------ what is seen from outside

    function count() external view returns (uint256) {
        return _posted.length;
    }

    function nodeCount() external view returns (uint256) {
        return _nodes.length;
    }

    function contracts() external view returns (INodeRegistry, IJobEscrow, address) {
        return (registry, escrow, token);
    }

    function jobAt(uint256 i) external view returns (Job memory job, Spec memory spec, uint256 paid) {
        Posted storage posted = _posted[i];
        return (_jobOf(posted.jobId), posted.spec, posted.paid);
    }

    // A line a selector: its name, how often it was called, how often it was not refused.
    function writeCounts() external {
        for (uint256 i = 0; i < _selectors.length; ++i) {
            string memory name = _selectors[i];
            string memory calls = vm.toString(_calls[name]);
            string memory line = string.concat(name, ",", calls, ",", vm.toString(_successes[name]));
            vm.writeLine("written/calls.txt", line);
        }
    }

    function _try(string memory name, address from, address to, uint256 value, bytes memory data)
        private
        returns (bool ok)
    {
        if (_calls[name]++ == 0) _selectors.push(name);
        if (from.balance < value) vm.deal(from, 1 ether);
        vm.prank(from);
        (ok,) = to.call{value: value}(data);
        if (ok) ++_successes[name];
        _watchStates();
    }

    // After each call: states have moved along the arrows alone, and no job was paid twice.
    function _watchStates() private {
        for (uint256 i = 0; i < _posted.length; ++i) {
            Posted storage posted = _posted[i];
            JobState state = _stateOf(posted.jobId);
            if (state == posted.seen) continue;
            if (!_isArrow(posted.seen, state)) _break("a state moved along no arrow");
            if (state == JobState.Final && ++posted.paid > 1) _break("a job was paid twice");
            posted.seen = state;
        }
    }

    function _isArrow(JobState from, JobState to) private pure returns (bool) {
        if (from == JobState.None) return to == JobState.Open;
        if (from == JobState.Open) {
            return to == JobState.Assigned || to == JobState.Cancelled || to == JobState.Expired;
        }
        return from == JobState.Assigned && (to == JobState.Final || to == JobState.Expired || to == JobState.Slashed);
    }

    function _break(string memory rule) private {
        if (bytes(wrong).length == 0) wrong = rule;
    }

    // ------------------------------------------------------------------ choices

    function _job(uint256 i) private view returns (Posted storage) {
        return _posted[i % _posted.length];
    }

    // From the i-th job on, the first that is what is looked for; the i-th where there is none.
    function _search(uint256 i, function (bytes32) view returns (bool) isWanted) private view returns (bool, uint256) {
        for (uint256 k = 0; k < _posted.length; ++k) {
            uint256 chosen = (i % _posted.length + k) % _posted.length;
            if (isWanted(_posted[chosen].jobId)) return (true, chosen);
        }
        return (false, i % _posted.length);
    }

    function _isOpen(bytes32 jobId) private view returns (bool) {
        return _stateOf(jobId) == JobState.Open;
    }

    function _isUnpaid(bytes32 jobId) private view returns (bool) {
        return _stateOf(jobId) == JobState.Open || _stateOf(jobId) == JobState.Assigned;
    }

    function _isDue(bytes32 jobId) private view returns (bool) {
        return _isUnpaid(jobId) && block.timestamp > escrow.expiresAt(_specs[jobId]);
    }

    function _isAssigned(bytes32 jobId) private view returns (bool) {
        return _stateOf(jobId) == JobState.Assigned;
    }

    function _isOfBanned(bytes32 jobId) private view returns (bool) {
        return _isAssigned(jobId) && registry.isBanned(_jobOf(jobId).node);
    }

    // From a rollup on, the first honest leaf that its node can still claim.
    function _claimable(uint256 which, uint256 leaf) private view returns (bool, uint256, uint256) {
        for (uint256 k = 0; k < _recorded.length; ++k) {
            uint256 r = (which % _recorded.length + k) % _recorded.length;
            Recorded storage recorded = _recorded[r];
            uint32 node = registry.idOf(recorded.header.operator);
            if (recorded.lies || registry.isBanned(node)) continue;
            for (uint256 i = 0; i < recorded.results.length; ++i) {
                uint256 chosen = (leaf % recorded.results.length + i) % recorded.results.length;
                bytes32 jobId = recorded.results[chosen].jobId;
                if (_stateOf(jobId) == JobState.Assigned && _jobOf(jobId).node == node) return (true, r, chosen);
            }
        }
        return (false, _recorded.length == 0 ? 0 : which % _recorded.length, 0);
    }

    // A new job's life up to its rollup.
    function _makeClaimable(uint256 seed) private returns (bool, uint256, uint256) {
        uint256 node = seed % _nodes.length;
        for (uint256 i = 0; i < _nodes.length && registry.isBanned(_nodes[node].node); ++i) {
            node = (node + 1) % _nodes.length;
        }
        postJob(seed, 1024 * 500 + 512 + _posted.length, false);
        (bool found, uint256 job) = _search(_posted.length - 1, _isOpen);
        if (!found) return (false, 0, 0);
        bytes memory data = abi.encodeCall(IJobEscrow.assign, (_posted[job].jobId, _posted[job].spec));
        _try("assign", _nodes[node].hot, address(escrow), 0, data);
        submitRollup(node, job, false);
        return _claimable(_recorded.length == 0 ? 0 : _recorded.length - 1, 0);
    }

    // A node that takes a job and is banned, as long as enough nodes are left to work.
    function _makeSlashable(uint256 seed) private returns (bool, uint256) {
        if (_honestNodes() <= 2) registerNode(2 * MINIMUM_STAKE - 1);
        (bool found, uint256 job) = _search(seed, _isAssigned);
        if (!found) {
            (bool made, uint256 r,) = _makeClaimable(seed);
            if (!made) return (false, 0);
            (found, job) = _search(_indexOf(_recorded[r].results[0].jobId), _isAssigned);
        }
        if (_honestNodes() <= 2) return (false, 0);
        uint32 node = _jobOf(_posted[job].jobId).node;
        for (uint256 i = 0; i < _nodes.length; ++i) {
            if (_nodes[i].node != node) continue;
            bytes memory data = _evidence(_nodes[i], _nodes[i].key, bytes32(seed));
            _try("proveEquivocation", stranger, address(rollup), 0, data);
        }
        return _search(job, _isOfBanned);
    }

    function _honestNodes() private view returns (uint256 honest) {
        for (uint256 i = 0; i < _nodes.length; ++i) if (!registry.isBanned(_nodes[i].node)) ++honest;
    }

    function _indexOf(bytes32 jobId) private view returns (uint256 i) {
        while (_posted[i].jobId != jobId) ++i;
    }

    // Up to four jobs that the node has, or one that it does not have.
    function _resultsOf(uint32 node, uint256 from, bool wrongPrice) private view returns (Result[] memory results) {
        results = new Result[](4);
        uint64 length;
        for (uint256 k = 0; k < _posted.length && length < 4; ++k) {
            Posted storage posted = _posted[(from % _posted.length + k) % _posted.length];
            if (_stateOf(posted.jobId) != JobState.Assigned || _jobOf(posted.jobId).node != node) continue;
            results[length] = _result(length, posted.jobId, posted.spec);
            if (wrongPrice && from % 5 == 0) ++results[length].price;
            ++length;
        }
        if (length == 0) results[length++] = _result(0, _job(from).jobId, _job(from).spec);
        assembly ("memory-safe") {
            mstore(results, length)
        }
    }
}

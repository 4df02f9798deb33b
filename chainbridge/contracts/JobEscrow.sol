// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {Identifiers, Spec} from "./Identifiers.sol";
import {Vault} from "./Vault.sol";
import {EscrowTerms, IJobEscrow, Job, JobState, PostOrder, Settlement} from "./interfaces/IJobEscrow.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";

// The caps of open and assigned jobs and the credits add up to held(). A job takes one word, found under its id and its
// spec hash: who knows the terms opens them, and on other terms there is no job.
contract JobEscrow is IJobEscrow, Vault, EIP712 {
    using BitMaps for BitMaps.BitMap;

    string private constant SPEC_FIELDS = "Spec(bytes32 modelId,bytes32 samplingHash,bytes32 promptHash,"
        "uint32 promptTokens,uint32 maxCompletionTokens,uint64 pricePerPromptToken,uint64 pricePerCompletionToken,"
        "uint64 deadline,address provider)";
    bytes32 private constant SPEC_TYPE = keccak256(bytes(SPEC_FIELDS));
    bytes32 private constant ORDER_TYPE = keccak256(
        bytes.concat(
            "PostOrder(address client,uint64 clientNonce,Spec spec,bytes32 salt,uint64 expiry)", bytes(SPEC_FIELDS)
        )
    );
    uint256 private constant LONGEST_PROMPT = 4096;
    uint64 private constant LONGEST_PERIOD = 3650 days; // Keeps all times within uint40.

    // What the jobs of one rollup that are settled in one call have in common, and what they add up to.
    struct Batch {
        address operator;
        uint32 node;
        uint64 recordedAt;
        uint256 prices;
        uint128 bonds;
        address client; // Whose `rests` have not been credited yet: a client's jobs in a row cost one write.
        uint256 rests;
    }

    address public immutable registry;
    address public immutable rollup;
    uint64 public immutable longestDeadline;
    uint64 public immutable window;
    uint64 public immutable claimPeriod;
    uint16 public immutable bondBasisPoints;
    uint128 public immutable minimumBond;

    mapping(bytes32 jobId => mapping(bytes32 specHash => Job)) private _jobs;
    mapping(address client => BitMaps.BitMap) private _usedNonces; // A job id has one set of terms.
    mapping(address client => mapping(bytes32 salt => bool)) public isRevoked;

    modifier onlyRollup() {
        if (msg.sender != rollup) revert NotTheRollup(msg.sender);
        _;
    }

    constructor(address token_, address registry_, address rollup_, EscrowTerms memory terms)
        Vault(token_)
        EIP712("Lockstep", "1")
    {
        if (registry_ == address(0) || rollup_ == address(0)) revert ZeroAddress();
        if (
            terms.longestDeadline == 0 || terms.longestDeadline > LONGEST_PERIOD || terms.window > LONGEST_PERIOD
                || terms.claimPeriod == 0 || terms.claimPeriod > LONGEST_PERIOD
        ) revert TermsOutOfRange();
        registry = registry_;
        rollup = rollup_;
        longestDeadline = terms.longestDeadline;
        window = terms.window;
        claimPeriod = terms.claimPeriod;
        bondBasisPoints = terms.bondBasisPoints;
        minimumBond = terms.minimumBond;
    }

    // ------------------------------------------------------------------ the client

    function post(Spec calldata spec, uint64 clientNonce, bytes calldata prompt)
        external
        payable
        nonReentrant
        returns (bytes32 jobId)
    {
        jobId = jobIdOf(msg.sender, clientNonce);
        if (!_isPosted(jobId, msg.sender, clientNonce, spec)) _open(jobId, msg.sender, clientNonce, spec, prompt);
    }

    function postFor(PostOrder calldata order, bytes calldata signature, bytes calldata prompt)
        external
        payable
        nonReentrant
        returns (bytes32 jobId)
    {
        jobId = jobIdOf(order.client, order.clientNonce);
        if (_isPosted(jobId, order.client, order.clientNonce, order.spec)) return jobId;
        if (block.timestamp > order.expiry) revert OrderExpired(order.expiry);
        if (isRevoked[order.client][order.salt]) revert OrderIsRevoked(order.client, order.salt);
        if (!SignatureChecker.isValidSignatureNowCalldata(order.client, _orderDigest(order), signature)) {
            revert BadSignature(order.client);
        }
        _open(jobId, order.client, order.clientNonce, order.spec, prompt);
    }

    function revokeOrder(bytes32 salt) external {
        if (isRevoked[msg.sender][salt]) return;
        isRevoked[msg.sender][salt] = true;
        emit OrderRevoked(msg.sender, salt);
    }

    function cancel(bytes32 jobId, Spec calldata spec) external nonReentrant {
        Job storage job = _jobOn(jobId, spec);
        if (job.state != JobState.Open) revert WrongState(jobId, job.state);
        if (job.client != msg.sender) revert NotTheClient(jobId, msg.sender);
        job.state = JobState.Cancelled;
        emit JobCancelled(jobId, _refund(job, spec));
    }

    // ------------------------------------------------------------------ the provider

    function assign(bytes32 jobId, Spec calldata spec) external nonReentrant {
        // The provider names the terms: after a reorganization the same id could stand for others.
        bytes32 specHash = Identifiers.specHash(spec);
        Job memory job = _jobs[jobId][specHash];
        if (job.state != JobState.Open) revert WrongState(jobId, job.state);
        if (block.timestamp > spec.deadline) revert TooLate(jobId, spec.deadline);
        (uint32 node, address owner) = INodeRegistry(registry).operatedBy(msg.sender);
        if (node == 0) revert NotAnOperator(msg.sender);
        if (spec.provider != address(0) && spec.provider != owner) revert NotTheProvider(jobId, owner);

        job.state = JobState.Assigned;
        job.assignedAt = uint40(block.timestamp);
        job.node = node;
        _jobs[jobId][specHash] = job;
        uint128 bond = bondOf(spec);
        emit JobAssigned(jobId, owner, node, specHash, uint64(Identifiers.ATTEMPT), bond);
        INodeRegistry(registry).lock(jobId, node, bond);
    }

    // ------------------------------------------------------------------ anyone

    function expire(bytes32 jobId, Spec calldata spec) external nonReentrant {
        Job storage job = _jobOn(jobId, spec);
        JobState state = job.state;
        if (state != JobState.Open && state != JobState.Assigned) revert WrongState(jobId, state);
        uint64 end = expiresAt(spec);
        if (block.timestamp <= end) revert TooEarly(jobId, end + 1);
        job.state = JobState.Expired;
        uint128 bond = state == JobState.Assigned ? bondOf(spec) : 0;
        emit JobExpired(jobId, _refund(job, spec), bond);
        if (state == JobState.Assigned) {
            INodeRegistry(registry).forfeit(jobId, job.node, bond, job.client, address(0));
        }
    }

    function slash(bytes32 jobId, Spec calldata spec) external nonReentrant {
        Job storage job = _jobOn(jobId, spec);
        if (job.state != JobState.Assigned) revert WrongState(jobId, job.state);
        if (!INodeRegistry(registry).isBanned(job.node)) revert NotBanned(jobId, job.node);
        _slash(jobId, job, spec, address(0));
    }

    // ------------------------------------------------------------------ the rollup

    function settle(address operator, uint32 node, uint64 recordedAt, Settlement[] calldata settlements)
        external
        onlyRollup
        nonReentrant
        returns (bool[] memory paid)
    {
        Batch memory batch;
        (batch.operator, batch.node, batch.recordedAt) = (operator, node, recordedAt);
        paid = new bool[](settlements.length);
        for (uint256 i = 0; i < settlements.length; ++i) paid[i] = _settle(batch, settlements[i]);
        _credit(batch.client, batch.rests);
        _credit(operator, batch.prices);
        if (batch.bonds != 0) INodeRegistry(registry).release(node, batch.bonds);
    }

    function slashRefuted(bytes32 jobId, Spec calldata spec, address operator, uint32 node, address challenger)
        external
        onlyRollup
        nonReentrant
    {
        Job storage job = _jobOn(jobId, spec);
        if (job.state != JobState.Assigned) revert WrongState(jobId, job.state);
        if (job.node != node) revert NotTheProvider(jobId, operator);
        _slash(jobId, job, spec, challenger);
    }

    // ------------------------------------------------------------------ views

    function jobIdOf(address client, uint64 clientNonce) public view returns (bytes32) {
        return Identifiers.jobId(address(this), client, clientNonce);
    }

    function specHashOf(Spec calldata spec) external pure returns (bytes32) {
        return Identifiers.specHash(spec);
    }

    function jobOf(bytes32 jobId, bytes32 specHash) external view returns (Job memory) {
        return _jobs[jobId][specHash];
    }

    function isNonceUsed(address client, uint64 clientNonce) external view returns (bool) {
        return _usedNonces[client].get(clientNonce);
    }

    function capOf(Spec calldata spec) public pure returns (uint128) {
        return Identifiers.priceOf(spec, spec.maxCompletionTokens);
    }

    function bondOf(Spec calldata spec) public view returns (uint128) {
        return _bond(capOf(spec));
    }

    function expiresAt(Spec calldata spec) public view returns (uint64) {
        return spec.deadline + window + claimPeriod;
    }

    // ------------------------------------------------------------------ private

    function _jobOn(bytes32 jobId, Spec calldata spec) private view returns (Job storage) {
        return _jobs[jobId][Identifiers.specHash(spec)];
    }

    // True when the same job is there already, on the same terms: then the call has no effect and takes no value.
    function _isPosted(bytes32 jobId, address client, uint64 clientNonce, Spec calldata spec)
        private
        view
        returns (bool)
    {
        if (!_usedNonces[client].get(clientNonce)) return false;
        bytes32 given = Identifiers.specHash(spec);
        if (_jobs[jobId][given].state == JobState.None) revert OtherTerms(jobId, given);
        if (msg.value != 0) revert WrongValue(0, msg.value);
        return true;
    }

    function _open(bytes32 jobId, address client, uint64 clientNonce, Spec calldata spec, bytes calldata prompt)
        private
    {
        uint64 latest = uint64(block.timestamp) + longestDeadline;
        if (spec.deadline <= block.timestamp || spec.deadline > latest) {
            revert DeadlineOutOfRange(spec.deadline, uint64(block.timestamp) + 1, latest);
        }
        if (prompt.length > LONGEST_PROMPT) revert PromptTooLong(prompt.length, LONGEST_PROMPT);
        bytes32 specHash = Identifiers.specHash(spec);
        _usedNonces[client].set(clientNonce);
        _jobs[jobId][specHash] = Job(client, 0, JobState.Open, 0);
        uint128 cap = capOf(spec);
        emit JobPosted(jobId, client, spec.modelId, specHash, clientNonce, cap, spec, prompt);
        _take(client, cap);
    }

    function _settle(Batch memory batch, Settlement calldata given) private returns (bool) {
        Job storage job = _jobs[given.jobId][given.specHash];
        Job memory found = job;
        if (found.state != JobState.Assigned) return false;
        if (found.node != batch.node) revert NotTheProvider(given.jobId, batch.operator);
        if (batch.recordedAt < found.assignedAt || batch.recordedAt > given.deadline) {
            revert RecordedOutOfTime(given.jobId, found.assignedAt, given.deadline, batch.recordedAt);
        }
        job.state = JobState.Final;
        (uint128 cap, uint128 price) = (given.cap, given.price);
        batch.prices += price;
        batch.bonds += _bond(cap);
        if (found.client != batch.client) {
            _credit(batch.client, batch.rests);
            (batch.client, batch.rests) = (found.client, 0);
        }
        batch.rests += cap - price;
        emit JobFinal(given.jobId, given.resultHash, price);
        return true;
    }

    function _slash(bytes32 jobId, Job storage job, Spec calldata spec, address challenger) private {
        job.state = JobState.Slashed;
        uint128 bond = bondOf(spec);
        emit JobSlashed(jobId, challenger, _refund(job, spec), bond);
        INodeRegistry(registry).forfeit(jobId, job.node, bond, job.client, challenger);
    }

    function _refund(Job storage job, Spec calldata spec) private returns (uint128 cap) {
        cap = capOf(spec);
        _credit(job.client, cap);
    }

    function _bond(uint128 cap) private view returns (uint128) {
        uint128 share = cap * bondBasisPoints / 10_000;
        return share > minimumBond ? share : minimumBond;
    }

    function _orderDigest(PostOrder calldata order) private view returns (bytes32) {
        bytes32 spec = keccak256(abi.encode(SPEC_TYPE, order.spec));
        return _hashTypedDataV4(
            keccak256(abi.encode(ORDER_TYPE, order.client, order.clientNonce, spec, order.salt, order.expiry))
        );
    }
}

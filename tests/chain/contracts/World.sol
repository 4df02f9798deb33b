// SPDX-License-Identifier: MIT
// The contracts as they are shipped (their artifacts, not their sources), two nodes and two clients, and the steps of
// a job's life as one line each. Amounts are small enough to be checked by hand.
pragma solidity 0.8.37;

import {Header, Result, Spec} from "../src/Identifiers.sol";
import {EscrowTerms, IJobEscrow, Job, JobState} from "../src/interfaces/IJobEscrow.sol";
import {IModelRegistry, Model} from "../src/interfaces/IModelRegistry.sol";
import {Consent, INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IResultRollup} from "../src/interfaces/IResultRollup.sol";
import {Hashes} from "./Hashes.sol";
import {PlainToken, ScriptedGame} from "./Doubles.sol";
import {StandardMerkleTree} from "./StandardMerkleTree.sol";
import {Check, vm} from "./Vm.sol";

contract World is Check {
    using StandardMerkleTree for StandardMerkleTree.Tree;

    uint64 internal constant START = 1_700_000_000;
    uint64 internal constant LONGEST_DEADLINE = 7 days;
    uint64 internal constant WINDOW = 1 hours;
    uint64 internal constant CLAIM_PERIOD = 1 days;
    uint64 internal constant LONGEST_GAME = 2 hours;
    uint64 internal constant UNSTAKE_DELAY = 30 days;
    uint128 internal constant MINIMUM_STAKE = 1000;
    uint128 internal constant MINIMUM_BOND = 100;
    uint16 internal constant HALF = 5000; // The bond is half the cap.

    uint128 internal constant CAP = 650; // 100 * 3 + 50 * 7, and so on.
    uint128 internal constant PRICE_OF_10 = 370;
    uint128 internal constant BOND = 325;
    uint128 internal constant STAKE = 10_000;

    struct Operator {
        address owner; // Cold.
        uint256 key; // Hot.
        address hot;
        uint32 node;
    }

    mapping(bytes32 jobId => Spec) internal _specs; // On which it was posted.
    address internal token; // 0: native.
    IModelRegistry internal models;
    INodeRegistry internal registry;
    IJobEscrow internal escrow;
    IResultRollup internal rollup;
    ScriptedGame internal game;

    uint256 internal constant CLIENT_KEY = 0xc1;
    address internal client = vm.addr(CLIENT_KEY);
    address internal otherClient = vm.addr(0xc2);
    address internal stranger = address(0x57a6);
    Operator internal ann;
    Operator internal bob;

    function setUp() public virtual {
        vm.warp(START);
        token = _makeToken();
        game = new ScriptedGame(LONGEST_GAME);
        models = IModelRegistry(_deploy("ModelRegistry", ""));
        _deployAll(address(game));
        _fund(client);
        _fund(otherClient);
        _fund(stranger);
        ann = _join(address(0xa0), 0xa1);
        bob = _join(address(0xb0), 0xb1);
    }

    // ------------------------------------------------------------------ deployment

    // All tests run for the chain's own currency and, with LOCKSTEP_CURRENCY=token, for an ERC-20 one.
    function _makeToken() private returns (address) {
        bool native = keccak256(bytes(vm.envOr("LOCKSTEP_CURRENCY", "native"))) == keccak256("native");
        return native ? address(0) : address(new PlainToken());
    }

    function _terms() internal pure returns (EscrowTerms memory) {
        return EscrowTerms(LONGEST_DEADLINE, WINDOW, CLAIM_PERIOD, HALF, MINIMUM_BOND);
    }

    function _deployAll(address disputes) internal {
        uint256 nonce = vm.getNonce(address(this));
        address second = vm.computeCreateAddress(address(this), nonce + 1);
        address third = vm.computeCreateAddress(address(this), nonce + 2);
        registry = INodeRegistry(
            _deploy("NodeRegistry", abi.encode(token, second, third, MINIMUM_STAKE, UNSTAKE_DELAY))
        );
        escrow = IJobEscrow(_deploy("JobEscrow", abi.encode(token, registry, third, _terms())));
        rollup = IResultRollup(_deploy("ResultRollup", abi.encode(registry, escrow, disputes)));
    }

    function _deploy(string memory name, bytes memory arguments) internal returns (address deployed) {
        bytes memory code = bytes.concat(_codeOf(name), arguments);
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
            if iszero(deployed) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
    }

    function _codeOf(string memory name) internal view returns (bytes memory) {
        string memory folder = vm.envOr("LOCKSTEP_ARTIFACTS", "artifacts");
        return vm.parseJsonBytes(vm.readFile(string.concat(folder, "/", name, ".json")), ".bytecode");
    }

    // ------------------------------------------------------------------ money

    function _fund(address account) internal {
        if (token == address(0)) {
            vm.deal(account, 1 ether);
        } else {
            PlainToken(token).mint(account, 1 ether);
            vm.startPrank(account);
            PlainToken(token).approve(address(escrow), type(uint256).max);
            PlainToken(token).approve(address(registry), type(uint256).max);
            vm.stopPrank();
        }
    }

    function _balance(address account) internal view returns (uint256) {
        return token == address(0) ? account.balance : PlainToken(token).balanceOf(account);
    }

    function _value(uint256 amount) internal view returns (uint256) {
        return token == address(0) ? amount : 0;
    }

    // ------------------------------------------------------------------ nodes

    function _join(address owner, uint256 key) internal returns (Operator memory) {
        _fund(owner);
        address hot = vm.addr(key);
        Consent memory consent = _consent(owner, key);
        uint256 value = _value(STAKE);
        vm.prank(owner);
        uint32 node = registry.register{value: value}(hot, STAKE, consent);
        return Operator(owner, key, hot, node);
    }

    function _consent(address owner, uint256 key) internal view returns (Consent memory) {
        return _consentUntil(owner, key, uint64(block.timestamp), address(registry), block.chainid);
    }

    function _consentUntil(address owner, uint256 key, uint64 expiry, address verifier, uint256 chain)
        internal
        pure
        returns (Consent memory)
    {
        bytes32 salt = keccak256("salt");
        bytes32 typeHash = keccak256("OperatorConsent(address owner,address operator,bytes32 salt,uint64 expiry)");
        bytes32 content = keccak256(abi.encode(typeHash, owner, vm.addr(key), salt, expiry));
        return Consent(salt, expiry, _sign(key, content, verifier, chain));
    }

    function _sign(uint256 key, bytes32 content, address verifier, uint256 chain) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, _digest(content, verifier, chain));
        return abi.encodePacked(r, s, v);
    }

    function _digest(bytes32 content, address verifier, uint256 chain) internal pure returns (bytes32) {
        bytes32 typeHash =
            keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        bytes32 domain =
            keccak256(abi.encode(typeHash, keccak256("Lockstep"), keccak256("1"), chain, verifier));
        return keccak256(abi.encodePacked(hex"1901", domain, content));
    }

    // ------------------------------------------------------------------ jobs

    function _spec() internal view virtual returns (Spec memory) {
        return Spec({
            modelId: keccak256("model"),
            samplingHash: keccak256("sampling"),
            promptHash: keccak256("prompt"),
            promptTokens: 100,
            maxCompletionTokens: 50,
            pricePerPromptToken: 3,
            pricePerCompletionToken: 7,
            deadline: uint64(block.timestamp) + 1 days,
            provider: address(0)
        });
    }

    function _changed(Spec memory spec, uint256 field) internal pure returns (Spec memory other) {
        other = abi.decode(abi.encode(spec), (Spec));
        if (field == 0) other.modelId = ~other.modelId;
        if (field == 1) other.samplingHash = ~other.samplingHash;
        if (field == 2) other.promptHash = ~other.promptHash;
        if (field == 3) ++other.promptTokens;
        if (field == 4) ++other.maxCompletionTokens;
        if (field == 5) ++other.pricePerPromptToken;
        if (field == 6) ++other.pricePerCompletionToken;
        if (field == 7) ++other.deadline;
        if (field == 8) other.provider = address(1);
    }

    function _post(uint64 nonce) internal returns (bytes32 jobId, Spec memory spec) {
        spec = _spec();
        jobId = _postAs(client, nonce, spec);
    }

    function _postAs(address who, uint64 nonce, Spec memory spec) internal returns (bytes32) {
        uint256 value = _value(_capOf(spec));
        vm.prank(who);
        bytes32 jobId = escrow.post{value: value}(spec, nonce, "");
        _specs[jobId] = spec;
        return jobId;
    }

    function _capOf(Spec memory spec) internal pure returns (uint128) {
        return uint128(spec.promptTokens) * spec.pricePerPromptToken
            + uint128(spec.maxCompletionTokens) * spec.pricePerCompletionToken;
    }

    function _assign(Operator memory operator, bytes32 jobId, Spec memory spec) internal {
        vm.prank(operator.hot);
        escrow.assign(jobId, spec);
    }

    // A job of `client` that Ann has.
    function _assigned(uint64 nonce) internal returns (bytes32 jobId, Spec memory spec) {
        (jobId, spec) = _post(nonce);
        _assign(ann, jobId, spec);
    }

    function _jobOf(bytes32 jobId) internal view returns (Job memory) {
        return escrow.jobOf(jobId, Hashes.specHash(_specs[jobId]));
    }

    function _stateOf(bytes32 jobId) internal view returns (JobState) {
        return _jobOf(jobId).state;
    }

    function _expectState(bytes32 jobId, JobState state) internal view {
        expectEqual(uint256(_stateOf(jobId)), uint256(state), "state");
    }

    // ------------------------------------------------------------------ rollups

    // Ten completion tokens, for 370.
    function _result(uint64 index, bytes32 jobId, Spec memory spec) internal view returns (Result memory) {
        return Result({
            index: index,
            jobId: jobId,
            traceRoot: keccak256(abi.encode("trace", jobId)),
            tokensHash: keccak256(abi.encode("tokens", jobId)),
            completionTokens: 10,
            finishReason: 0,
            price: uint128(10) * spec.pricePerCompletionToken + uint128(spec.promptTokens) * spec.pricePerPromptToken,
            completedAt: uint64(block.timestamp),
            spec: spec
        });
    }

    function _leaf(Result memory result) internal pure returns (bytes32) {
        return Hashes.leafHash(result);
    }

    function _tree(Result[] memory results) internal pure returns (StandardMerkleTree.Tree memory) {
        bytes32[] memory leaves = new bytes32[](results.length);
        for (uint256 i = 0; i < leaves.length; ++i) leaves[i] = _leaf(results[i]);
        return StandardMerkleTree.make(leaves);
    }

    function _proof(Result[] memory results, uint256 i) internal pure returns (bytes32[] memory) {
        return _tree(results).proofOf(_leaf(results[i]));
    }

    // The node's next header over these results.
    function _header(Operator memory operator, Result[] memory results) internal view returns (Header memory) {
        uint64 sequence = rollup.nextSequenceOf(operator.owner);
        bytes32 previous = sequence == 0 ? bytes32(0) : rollup.recordOf(operator.owner, sequence - 1).headerHash;
        return Header(
            operator.owner,
            sequence,
            previous,
            _tree(results).root(),
            uint64(results.length),
            keccak256(abi.encode("receipts", results))
        );
    }

    function _submit(Operator memory operator, Result[] memory results) internal returns (Header memory header) {
        header = _header(operator, results);
        vm.prank(operator.hot);
        rollup.submit(header, "");
    }

    function _signHeader(uint256 key, Header memory header) internal view returns (bytes memory) {
        return _signHeaderFor(key, header, address(rollup), block.chainid);
    }

    function _signHeaderFor(uint256 key, Header memory header, address verifier, uint256 chain)
        internal
        pure
        returns (bytes memory)
    {
        bytes32 typeHash = keccak256(
            "RollupHeader(address operator,uint64 sequence,bytes32 previous,bytes32 root,uint64 count,"
            "bytes32 dataCommitment)"
        );
        return _sign(key, keccak256(abi.encode(typeHash, header)), verifier, chain);
    }

    function _one(Result memory result) internal pure returns (Result[] memory results) {
        results = new Result[](1);
        results[0] = result;
    }

    function _none() internal pure returns (bytes32[] memory) {
        return new bytes32[](0);
    }

    // Ann's rollup with one result of one job, its window over.
    function _ripe(uint64 nonce) internal returns (bytes32 jobId, Header memory header, Result memory result) {
        Spec memory spec;
        (jobId, spec) = _assigned(nonce);
        result = _result(0, jobId, spec);
        header = _submit(ann, _one(result));
        vm.warp(block.timestamp + WINDOW);
    }

    function _claim(Header memory header, Result memory result) internal {
        rollup.claim(header, result, _none());
    }

    // Two headers that Ann's key signed for the same sequence.
    function _equivocate() internal returns (Header memory first, Header memory second) {
        first = _header(ann, _one(_result(0, keccak256("first"), _spec())));
        second = _header(ann, _one(_result(0, keccak256("second"), _spec())));
        bytes memory one = _signHeader(ann.key, first);
        bytes memory other = _signHeader(ann.key, second);
        vm.prank(stranger);
        rollup.proveEquivocation(first, one, second, other);
    }
}

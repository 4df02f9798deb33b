// SPDX-License-Identifier: MIT
// What an attacker would try: calls back, hostile wallets, signatures written another way, calldata that is no ABI,
// the largest numbers, dust, the first and the last second.
pragma solidity 0.8.37;

import {Header, Result, Spec} from "../src/Identifiers.sol";
import {IJobEscrow, JobState, PostOrder} from "../src/interfaces/IJobEscrow.sol";
import {Consent, INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IResultRollup} from "../src/interfaces/IResultRollup.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {Batches} from "./Batches.sol";
import {BurningWallet, CallingToken, ChattyWallet, PlainToken, RevertingWallet} from "./Doubles.sol";
import {Orders} from "./Orders.sol";
import {vm} from "./Vm.sol";

contract AttackTest is Batches {
    uint256 private constant ORDER_OF_CURVE = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    bytes32 private constant REENTERED = bytes32(bytes4(keccak256("ReentrancyGuardReentrantCall()")));

    // ------------------------------------------------------------------ calling back

    // A token with hooks lets the client act while its tokens are on their way, before they have arrived.
    function test_attack_aClientThatActsDuringItsOwnPaymentGainsNothing() public {
        CallingToken calling = new CallingToken();
        token = address(calling);
        _deployAll(address(0));
        _fund(client);
        ann = _join(address(0xa0), 0xa1);
        Spec memory spec = _spec();
        bytes[3] memory calls = [
            abi.encodeCall(IJobEscrow.cancel, (escrow.jobIdOf(address(calling), 0), spec)),
            abi.encodeCall(IVault.withdrawTo, (stranger)),
            abi.encodeCall(IJobEscrow.slash, (escrow.jobIdOf(client, 0), spec))
        ];
        for (uint64 i = 0; i < calls.length; ++i) {
            calling.callOnMove(address(escrow), calls[i]);
            _postAs(client, i, spec);
            expectTrue(!calling.succeeded(), "reentered");
            expectEqual(bytes32(bytes4(calling.answer())), REENTERED, "why");
        }
        // The other vault is open meanwhile, and has nothing that is not its own.
        calling.callOnMove(address(registry), abi.encodeCall(IVault.withdraw, (ann.owner)));
        _postAs(client, 9, spec);
        expectEqual(bytes32(bytes4(calling.answer())), bytes32(IVault.NothingToWithdraw.selector), "nothing there");
        expectEqual(escrow.held(), 4 * CAP, "held");
        expectEqual(_balance(address(escrow)), 4 * CAP, "balance");
    }

    function test_attack_aStakeOnItsWayIsNotPaidBack() public {
        CallingToken calling = new CallingToken();
        token = address(calling);
        _deployAll(address(0));
        ann = _join(address(calling), 0xa1); // The token itself is the owner.
        bytes[2] memory calls =
            [abi.encodeCall(INodeRegistry.addStake, (1)), abi.encodeCall(IVault.withdraw, (address(calling)))];
        for (uint256 i = 0; i < calls.length; ++i) {
            calling.callOnMove(address(registry), calls[i]);
            vm.prank(ann.owner);
            registry.addStake(10);
            expectEqual(bytes32(bytes4(calling.answer())), REENTERED, "why");
        }
        expectEqual(registry.held(), STAKE + 20, "held");
    }

    // ------------------------------------------------------------------ hostile wallets

    function test_attack_aWalletThatRevertsBurnsGasOrChattersHasNotSigned() public {
        address[3] memory wallets =
            [address(new RevertingWallet()), address(new BurningWallet()), address(new ChattyWallet())];
        for (uint256 i = 0; i < wallets.length; ++i) {
            PostOrder memory order = PostOrder(wallets[i], 0, _spec(), 0, uint64(block.timestamp));
            vm.expectRevert(abi.encodeWithSelector(IJobEscrow.BadSignature.selector, wallets[i]));
            escrow.postFor{gas: 4_000_000}(order, "", "");
        }
        expectEqual(escrow.held(), 0, "held");
    }

    // ------------------------------------------------------------------ signatures

    // (r, n - s) with the other v is as good a signature to the curve, and is not taken.
    function _flipped(bytes memory signature) private pure returns (bytes memory) {
        bytes32 r;
        uint256 s;
        assembly ("memory-safe") {
            r := mload(add(signature, 0x20))
            s := mload(add(signature, 0x40))
        }
        uint8 v = uint8(signature[64]) == 27 ? 28 : 27;
        return abi.encodePacked(r, ORDER_OF_CURVE - s, v);
    }

    // r and, with the parity in its highest bit, s (EIP-2098).
    function _compact(bytes memory signature) private pure returns (bytes memory) {
        bytes32 r;
        uint256 s;
        assembly ("memory-safe") {
            r := mload(add(signature, 0x20))
            s := mload(add(signature, 0x40))
        }
        return abi.encodePacked(r, s | uint256(uint8(signature[64]) - 27) << 255);
    }

    function test_attack_aSignatureHasOneForm() public {
        PostOrder memory order = PostOrder(client, 0, _spec(), 0, uint64(block.timestamp));
        bytes memory signature = _sign(CLIENT_KEY, Orders.contentOf(order), address(escrow), block.chainid);
        bytes[3] memory forms = [_flipped(signature), _compact(signature), bytes.concat(signature, hex"00")];
        Header memory header = _header(ann, _one(_result(0, keccak256("job"), _spec())));
        bytes memory signed = _signHeader(ann.key, header);
        bytes[3] memory headerForms = [_flipped(signed), _compact(signed), bytes.concat(signed, hex"00")];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IJobEscrow.BadSignature.selector, client));
            escrow.postFor(order, forms[i], "");
            vm.expectRevert(abi.encodeWithSelector(IResultRollup.BadHeaderSignature.selector, ann.owner));
            rollup.submit(header, headerForms[i]);
        }
        Consent memory consent = _consent(otherClient, 0xd1);
        consent.signature = _flipped(consent.signature);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.BadConsent.selector, vm.addr(0xd1)));
        vm.prank(otherClient);
        registry.register(vm.addr(0xd1), STAKE, consent);
    }

    // Two forms of one signature, or two signatures of one header, are no two headers.
    function test_attack_oneHeaderSignedTwiceIsNoEquivocation() public {
        Header memory header = _header(ann, _one(_result(0, keccak256("job"), _spec())));
        bytes memory signed = _signHeader(ann.key, header);
        vm.expectRevert(IResultRollup.NoEquivocation.selector);
        rollup.proveEquivocation(header, signed, header, _flipped(signed));
    }

    // What a key signed as one thing is no other thing: a receipt or a consent is no header.
    function test_attack_aConsentIsNoHeader() public {
        Header memory header = _header(ann, _one(_result(0, keccak256("job"), _spec())));
        bytes memory consent = _consent(ann.owner, ann.key).signature;
        vm.expectRevert(abi.encodeWithSelector(IResultRollup.BadHeaderSignature.selector, ann.owner));
        rollup.submit(header, consent);
    }

    // ------------------------------------------------------------------ calldata

    // Words that do not fit their types would give the same terms a second hash.
    function test_attack_wordsBeyondTheirTypesPostNothing() public {
        uint256 value = _value(CAP);
        bytes memory data = abi.encodeCall(IJobEscrow.post, (_spec(), 0, ""));
        for (uint256 field = 3; field < 9; ++field) {
            bytes memory dirty = bytes.concat(data);
            dirty[4 + 32 * field] = 0x01; // The highest byte of the field's word.
            vm.prank(client);
            (bool ok,) = address(escrow).call{value: value}(dirty);
            expectTrue(!ok, "posted");
        }
        vm.prank(client);
        (bool clean,) = address(escrow).call{value: value}(data);
        expectTrue(clean, "not posted");
    }

    function test_attack_wordsBeyondTheirTypesClaimNothing() public {
        (, Header memory header, Result memory result) = _ripe(0);
        bytes memory data = abi.encodeCall(IResultRollup.claim, (header, result, _none()));
        for (uint256 field = 0; field < 17; ++field) {
            if (field >= 1 && field <= 3) continue; // Whole words.
            if (field >= 8 && field <= 10) continue;
            bytes memory dirty = bytes.concat(data);
            dirty[4 + 32 * (6 + field)] = 0x01;
            (bool ok,) = address(rollup).call(dirty);
            expectTrue(!ok, "claimed");
        }
        (bool clean,) = address(rollup).call(data);
        expectTrue(clean, "not claimed");
    }

    // ------------------------------------------------------------------ the largest and the smallest numbers

    function test_attack_theLargestJobIsPaidToTheLastUnit() public {
        Spec memory spec = _spec();
        (spec.promptTokens, spec.maxCompletionTokens) = (type(uint32).max, type(uint32).max);
        (spec.pricePerPromptToken, spec.pricePerCompletionToken) = (type(uint64).max, type(uint64).max);
        uint256 cap = 2 * uint256(type(uint32).max) * type(uint64).max;
        _give(client, 2 * cap);
        _give(ann.owner, 2 * cap);
        vm.prank(ann.owner);
        registry.addStake{value: _value(cap)}(uint128(cap));
        Result[] memory results = new Result[](2);
        for (uint64 i = 0; i < 2; ++i) {
            bytes32 jobId = _postAs(client, i, spec);
            _assign(ann, jobId, spec);
            results[i] = _result(i, jobId, spec);
            results[i].completionTokens = type(uint32).max;
            results[i].price = uint128(cap);
        }
        Header memory header = _submit(ann, results);
        vm.warp(START + WINDOW);
        expectEqual(_settle(header, results, 3), 2, "settled");
        expectEqual(escrow.creditOf(ann.owner), 2 * cap, "prices");
        expectEqual(escrow.held(), 2 * cap, "held");
        expectEqual(registry.nodeOf(ann.node).locked, 0, "locked");
    }

    function test_attack_aStakeBeyondItsTypeIsRefused() public {
        uint128 most = type(uint128).max;
        _give(ann.owner, most);
        uint256 value = _value(most);
        vm.expectRevert(abi.encodeWithSignature("Panic(uint256)", 0x11));
        vm.prank(ann.owner);
        registry.addStake{value: value}(most);
        expectEqual(registry.nodeOf(ann.node).stake, STAKE, "stake");
    }

    function _give(address account, uint256 amount) private {
        if (token == address(0)) vm.deal(account, account.balance + amount);
        else PlainToken(token).mint(account, amount);
    }

    // Jobs for nothing cost their poster its own gas, lock a bond all the same, and owe nobody anything.
    function test_attack_dustOwesNobodyAnything() public {
        Spec memory spec = _spec();
        (spec.pricePerPromptToken, spec.pricePerCompletionToken) = (0, 0);
        Result[] memory results = new Result[](3);
        for (uint64 i = 0; i < 3; ++i) {
            bytes32 jobId = _postAs(client, i, spec);
            _assign(ann, jobId, spec);
            results[i] = _result(i, jobId, spec);
        }
        expectEqual(registry.nodeOf(ann.node).locked, 3 * MINIMUM_BOND, "locked");
        Header memory header = _submit(ann, results);
        vm.warp(START + WINDOW);
        expectEqual(_settle(header, results, 7), 3, "settled");
        expectEqual(registry.nodeOf(ann.node).locked, 0, "free");
        expectEqual(escrow.held(), 0, "held");
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, ann.owner));
        escrow.withdraw(ann.owner);
    }

    function test_attack_anEmptyBatchHasNoEffect() public {
        (Header memory header,) = _batch(2);
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = header.root;
        expectEqual(rollup.settleMany(header, new Result[](0), proof, new bool[](0)), 0, "settled");
        expectEqual(escrow.creditOf(ann.owner), 0, "credit");
    }

    // ------------------------------------------------------------------ the claimed bitmap

    // Indices of four words of the bitmap, in the order of a tree: each is paid once, and keeps its bit.
    function test_attack_indicesFarApartArePaidOnce() public {
        uint64[6] memory indices = [uint64(0), 255, 256, 511, 512, 65_535];
        Result[] memory results = new Result[](6);
        for (uint64 i = 0; i < 6; ++i) {
            (bytes32 jobId, Spec memory spec) = _assigned(i);
            results[i] = _result(indices[i], jobId, spec);
        }
        Header memory header = _header(ann, results);
        header.count = 65_536;
        vm.prank(ann.hot);
        rollup.submit(header, "");
        vm.warp(START + WINDOW);
        rollup.claim(header, results[3], _proof(results, 3));
        expectEqual(_settle(header, results, 63), 5, "the others");
        expectEqual(_settle(header, results, 63), 0, "again");
        expectEqual(escrow.creditOf(ann.owner), 6 * PRICE_OF_10, "prices");
        bytes32 headerHash = rollup.headerHashOf(header);
        for (uint64 i = 0; i < 600; ++i) {
            bool claimed = i == 0 || i == 255 || i == 256 || i == 511 || i == 512;
            expectTrue(rollup.isClaimed(headerHash, i) == claimed, "bit");
        }
        expectTrue(rollup.isClaimed(headerHash, 65_535) && !rollup.isClaimed(headerHash, 65_534), "the last bit");
    }

    // ------------------------------------------------------------------ the first and the last second

    // Recorded in the last second of the deadline, claimed in the last second before anyone may expire the job.
    function test_attack_theLastSecondsAreTheProviders() public {
        (bytes32 jobId, Spec memory spec) = _assigned(0);
        Result memory result = _result(0, jobId, spec);
        vm.warp(spec.deadline);
        Header memory header = _submit(ann, _one(result));
        uint256 before = vm.snapshotState();
        vm.warp(escrow.expiresAt(spec));
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.TooEarly.selector, jobId, escrow.expiresAt(spec) + 1));
        escrow.expire(jobId, spec);
        _claim(header, result);
        _expectState(jobId, JobState.Final);
        expectTrue(vm.revertToState(before), "back");
        vm.warp(spec.deadline + WINDOW + CLAIM_PERIOD + 1);
        escrow.expire(jobId, spec);
        vm.expectRevert(abi.encodeWithSelector(IResultRollup.JobNotAssigned.selector, jobId));
        rollup.claim(header, result, _none());
        expectEqual(escrow.creditOf(client), CAP, "cap");
        expectEqual(escrow.creditOf(ann.owner), 0, "price");
    }

    // A nonce belongs to its client: nobody else can use it up, and no refund opens it again.
    function test_attack_aNonceIsSpentOnceAndByItsClient() public {
        _postAs(otherClient, 0, _spec());
        (bytes32 jobId, Spec memory spec) = _post(0);
        vm.prank(client);
        escrow.cancel(jobId, spec);
        Spec memory other = _changed(spec, 0);
        uint256 value = _value(CAP);
        bytes32 given = escrow.specHashOf(other);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.OtherTerms.selector, jobId, given));
        vm.prank(client);
        escrow.post{value: value}(other, 0, "");
        expectTrue(escrow.isNonceUsed(client, 0) && !escrow.isNonceUsed(client, 1), "nonces");
    }
}

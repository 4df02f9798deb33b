// SPDX-License-Identifier: MIT
// Headers: how a node links them, and what happens to one that signs two.
pragma solidity 0.8.37;

import {Header, Result, Spec} from "../src/Identifiers.sol";
import {IJobEscrow, JobState} from "../src/interfaces/IJobEscrow.sol";
import {Consent, INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IResultRollup, Record} from "../src/interfaces/IResultRollup.sol";
import {ScriptedGame} from "./Doubles.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

contract ResultRollupTest is World {
    function _some(bytes32 seed) private view returns (Result[] memory) {
        return _one(_result(0, seed, _spec()));
    }

    function submit(address sender, Header memory header, bytes memory signature) external {
        vm.prank(sender);
        rollup.submit(header, signature);
    }

    function _refused(bytes memory reason, address sender, Header memory header, bytes memory signature) private {
        vm.expectRevert(reason);
        this.submit(sender, header, signature);
    }

    function _badSignature() private view returns (bytes memory) {
        return abi.encodeWithSelector(IResultRollup.BadHeaderSignature.selector, ann.owner);
    }

    // ------------------------------------------------------------------ submit

    function test_submit_recordsTheHeaderAndLinksTheNext() public {
        Header memory first = _header(ann, _some("1"));
        bytes32 expected = keccak256(
            abi.encode(keccak256("lockstep.rollup.v1"), block.chainid, address(rollup), first)
        );
        vm.expectEmit(address(rollup));
        emit IResultRollup.RollupRecorded(ann.owner, 0, expected, first);
        vm.prank(ann.hot);
        rollup.submit(first, "");
        Record memory record = rollup.recordOf(ann.owner, 0);
        expectEqual(record.headerHash, expected, "hash");
        expectEqual(record.recordedAt, START, "time");

        Header memory second = _submit(ann, _some("2"));
        expectEqual(second.previous, expected, "previous");
        expectEqual(rollup.nextSequenceOf(ann.owner), 2, "next");
        expectEqual(rollup.nextSequenceOf(bob.owner), 0, "each node has a chain of its own");
    }

    function test_submit_theSameHeaderAgainHasNoEffect() public {
        Header memory header = _submit(ann, _some("1"));
        vm.warp(START + 9);
        vm.recordLogs();
        rollup.submit(header, "");
        expectEqual(vm.getRecordedLogs().length, 0, "events");
        expectEqual(rollup.recordOf(ann.owner, 0).recordedAt, START, "time");
    }

    function test_submit_anotherHeaderAtARecordedSequenceReverts() public {
        Header memory other = _header(ann, _some("2"));
        Header memory header = _submit(ann, _some("1"));
        _refused(
            abi.encodeWithSelector(
                IResultRollup.HeaderDiffers.selector,
                ann.owner,
                0,
                rollup.headerHashOf(header),
                rollup.headerHashOf(other)
            ),
            ann.hot,
            other,
            ""
        );
    }

    function test_submit_noSequenceIsLeftOut() public {
        Header memory header = _header(ann, _some("1"));
        header.sequence = 1;
        _refused(abi.encodeWithSelector(IResultRollup.SequenceGap.selector, ann.owner, 0, 1), ann.hot, header, "");
    }

    function test_submit_noPreviousIsInvented() public {
        Header memory header = _header(ann, _some("1"));
        header.previous = keccak256("x");
        _refused(
            abi.encodeWithSelector(IResultRollup.WrongPrevious.selector, ann.owner, bytes32(0), header.previous),
            ann.hot,
            header,
            ""
        );
        bytes32 recorded = rollup.headerHashOf(_submit(ann, _some("1")));
        header = _header(ann, _some("2"));
        header.previous = 0;
        _refused(
            abi.encodeWithSelector(IResultRollup.WrongPrevious.selector, ann.owner, recorded, bytes32(0)),
            ann.hot,
            header,
            ""
        );
    }

    function test_submit_countsAtLeastOneLeaf() public {
        Header memory header = _header(ann, _some("1"));
        uint64[2] memory counts = [uint64(0), (1 << 20) + 1];
        for (uint256 i = 0; i < 2; ++i) {
            header.count = counts[i];
            _refused(
                abi.encodeWithSelector(IResultRollup.CountOutOfRange.selector, counts[i]), ann.hot, header, ""
            );
        }
    }

    function test_submit_anyoneMayCarryWhatTheOperatorKeySigned() public {
        Header memory header = _header(ann, _some("1"));
        this.submit(stranger, header, _signHeader(ann.key, header));
        expectEqual(rollup.recordOf(ann.owner, 0).headerHash, rollup.headerHashOf(header), "recorded");
    }

    function test_submit_onlyTheOperatorKeyCounts() public {
        Header memory header = _header(ann, _some("1"));
        _refused(_badSignature(), ann.owner, header, ""); // The cold key submits nothing.
        _refused(_badSignature(), bob.hot, header, "");
        _refused(_badSignature(), stranger, header, _signHeader(bob.key, header));
        Header memory other = _header(ann, _some("2"));
        _refused(_badSignature(), stranger, header, _signHeader(ann.key, other));
    }

    function test_submit_aSignatureHoldsOnOneChainAndForOneContract() public {
        Header memory header = _header(ann, _some("1"));
        bytes memory signature = _signHeaderFor(ann.key, header, address(rollup), block.chainid + 1);
        _refused(_badSignature(), stranger, header, signature);
        signature = _signHeaderFor(ann.key, header, address(escrow), block.chainid);
        _refused(_badSignature(), stranger, header, signature);
    }

    function test_submit_aRetiredKeyNoLongerCounts() public {
        Header memory header = _header(ann, _some("1"));
        Consent memory consent = _consent(ann.owner, 0xa2);
        vm.prank(ann.owner);
        registry.rotateOperator(vm.addr(0xa2), consent);
        _refused(_badSignature(), ann.hot, header, _signHeader(ann.key, header));
        this.submit(stranger, header, _signHeader(0xa2, header));
    }

    function test_submit_onlyNodes() public {
        Header memory header = _header(ann, _some("1"));
        header.operator = stranger;
        _refused(abi.encodeWithSelector(IResultRollup.UnknownOperator.selector, stranger), stranger, header, "");
    }

    function test_submit_notOnceBanned() public {
        _equivocate();
        Header memory header = _header(ann, _some("3"));
        _refused(abi.encodeWithSelector(IResultRollup.OperatorBanned.selector, ann.owner), ann.hot, header, "");
    }

    // ------------------------------------------------------------------ finalize

    function test_finalize_onlyAfterTheWindow() public {
        Header memory header = _submit(ann, _some("1"));
        vm.warp(START + WINDOW - 1);
        vm.expectRevert(abi.encodeWithSelector(IResultRollup.WindowOpen.selector, START + WINDOW));
        rollup.finalize(header);
        vm.warp(START + WINDOW);
        vm.expectEmit(address(rollup));
        emit IResultRollup.RollupFinal(ann.owner, 0, rollup.headerHashOf(header));
        rollup.finalize(header);
        expectTrue(rollup.recordOf(ann.owner, 0).finalized, "finalized");
        vm.recordLogs();
        rollup.finalize(header);
        expectEqual(vm.getRecordedLogs().length, 0, "again: no effect");
    }

    function test_finalize_onlyWhatIsRecorded() public {
        Header memory header = _header(ann, _some("1"));
        bytes memory reason =
            abi.encodeWithSelector(IResultRollup.NotRecorded.selector, rollup.headerHashOf(header));
        vm.expectRevert(reason);
        rollup.finalize(header);
        _submit(ann, _some("2"));
        vm.warp(START + WINDOW);
        vm.expectRevert(reason);
        rollup.finalize(header);
    }

    // ------------------------------------------------------------------ equivocation

    function test_proveEquivocation_twoSignedHeadersBanTheNode() public {
        (Header memory first, Header memory second) = _equivocate();
        expectTrue(registry.isBanned(ann.node), "banned");
        expectEqual(registry.creditOf(stranger), STAKE / 10, "reward");
        expectTrue(rollup.headerHashOf(first) != rollup.headerHashOf(second), "differ");
    }

    function test_proveEquivocation_aRecordedHeaderNeedsNoSignature() public {
        Header memory other = _header(ann, _some("2"));
        Header memory header = _submit(ann, _some("1"));
        bytes memory signature = _signHeader(ann.key, other);
        vm.expectEmit(address(rollup));
        emit IResultRollup.Equivocation(
            ann.owner, 0, rollup.headerHashOf(header), rollup.headerHashOf(other), address(this)
        );
        rollup.proveEquivocation(header, "", other, signature);
        expectTrue(registry.isBanned(ann.node), "banned");
    }

    function _refusedProof(bytes memory reason, Header memory a, uint256 keyA, Header memory b, uint256 keyB) private {
        bytes memory one = _signHeader(keyA, a);
        bytes memory other = _signHeader(keyB, b);
        vm.expectRevert(reason);
        rollup.proveEquivocation(a, one, b, other);
        expectTrue(!registry.isBanned(ann.node) && !registry.isBanned(bob.node), "banned");
    }

    function test_proveEquivocation_onlyByTwoHeadersOfOneNodeAtOneSequence() public {
        bytes memory reason = abi.encodeWithSelector(IResultRollup.NoEquivocation.selector);
        Header memory header = _header(ann, _some("1"));
        _refusedProof(reason, header, ann.key, header, ann.key);
        Header memory later = _header(ann, _some("2"));
        later.sequence = 1;
        _refusedProof(reason, header, ann.key, later, ann.key);
        Header memory bobs = _header(bob, _some("2"));
        _refusedProof(reason, header, ann.key, bobs, bob.key);
    }

    function test_proveEquivocation_onlyByKeysOfTheNode() public {
        Header memory first = _header(ann, _some("1"));
        Header memory second = _header(ann, _some("2"));
        _refusedProof(_badSignature(), first, ann.key, second, bob.key);
        _refusedProof(_badSignature(), first, bob.key, second, ann.key);
        _refusedProof(_badSignature(), first, ann.key, second, 0xbad);
        bytes memory signature = _signHeader(ann.key, first);
        vm.expectRevert(_badSignature());
        rollup.proveEquivocation(first, signature, second, "");
        first.operator = second.operator = stranger;
        _refusedProof(
            abi.encodeWithSelector(IResultRollup.UnknownOperator.selector, stranger), first, 0xbad, second, 0xbad
        );
    }

    function test_proveEquivocation_aRotationLaundersNothing() public {
        Header memory first = _header(ann, _some("1"));
        Header memory second = _header(ann, _some("2"));
        Consent memory consent = _consent(ann.owner, 0xa2);
        vm.prank(ann.owner);
        registry.rotateOperator(vm.addr(0xa2), consent);
        bytes memory one = _signHeader(ann.key, first);
        bytes memory other = _signHeader(0xa2, second);

        vm.warp(START + UNSTAKE_DELAY);
        vm.expectRevert(_badSignature());
        rollup.proveEquivocation(first, one, second, other);
        vm.warp(START + UNSTAKE_DELAY - 1);
        rollup.proveEquivocation(first, one, second, other);
        expectTrue(registry.isBanned(ann.node), "banned");
    }

    function test_proveEquivocation_slashesOnce() public {
        (Header memory first, Header memory second) = _equivocate();
        bytes memory one = _signHeader(ann.key, first);
        bytes memory other = _signHeader(ann.key, second);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.Banned.selector, ann.node));
        rollup.proveEquivocation(first, one, second, other);
    }

    function test_proveEquivocation_endsClaimsAndAssignments() public {
        (bytes32 jobId, Header memory header, Result memory result) = _ripe(0);
        (bytes32 open, Spec memory spec) = _post(1);
        _equivocate();
        vm.expectRevert(abi.encodeWithSelector(IResultRollup.OperatorBanned.selector, ann.owner));
        rollup.claim(header, result, _none());
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.Banned.selector, ann.node));
        _assign(ann, open, spec);
        escrow.slash(jobId, _specs[jobId]);
        _expectState(jobId, JobState.Slashed);
        _assign(bob, open, spec);
    }

    // ------------------------------------------------------------------ constructor

    function deploy(address registry_, address escrow_, address disputes) external returns (address) {
        return _deploy("ResultRollup", abi.encode(registry_, escrow_, disputes));
    }

    function _refusedSet(bytes memory reason, uint64 delay, uint64 longestGame) private {
        uint256 nonce = vm.getNonce(address(this));
        address disputes = address(new ScriptedGame(longestGame));
        address second = vm.computeCreateAddress(address(this), nonce + 2);
        address third = vm.computeCreateAddress(address(this), nonce + 3);
        address nodes = _deploy("NodeRegistry", abi.encode(token, second, third, MINIMUM_STAKE, delay));
        address jobs = _deploy("JobEscrow", abi.encode(token, nodes, third, _terms()));
        vm.expectRevert(reason);
        this.deploy(nodes, jobs, disputes);
    }

    function test_constructor_allThreeKnowEachOther() public {
        vm.expectRevert(IResultRollup.WrongWiring.selector);
        this.deploy(address(registry), address(escrow), address(0));
        (INodeRegistry otherRegistry, IJobEscrow otherEscrow) = (registry, escrow);
        _deployAll(address(0));
        vm.expectRevert(IResultRollup.WrongWiring.selector);
        this.deploy(address(otherRegistry), address(escrow), address(0));
        vm.expectRevert(IResultRollup.WrongWiring.selector);
        this.deploy(address(registry), address(otherEscrow), address(0));
    }

    function test_constructor_theUnstakeDelayOutlivesEveryJobAndGame() public {
        uint64 needed = LONGEST_DEADLINE + WINDOW + LONGEST_GAME;
        _refusedSet(
            abi.encodeWithSelector(IResultRollup.UnstakeDelayTooShort.selector, needed, needed), needed, LONGEST_GAME
        );
    }

    function test_constructor_theClaimPeriodOutlivesEveryGame() public {
        _refusedSet(
            abi.encodeWithSelector(IResultRollup.ClaimPeriodTooShort.selector, CLAIM_PERIOD, CLAIM_PERIOD),
            UNSTAKE_DELAY,
            CLAIM_PERIOD
        );
    }
}

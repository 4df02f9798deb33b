// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Header, Spec} from "../src/Identifiers.sol";
import {JobState} from "../src/interfaces/IJobEscrow.sol";
import {Consent, INodeRegistry, Node} from "../src/interfaces/INodeRegistry.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

contract NodeRegistryTest is World {
    address private constant CAT = address(0xca7);
    uint256 private constant CAT_KEY = 0xca71;
    address private constant BURNED = address(0xdEaD);

    function _register(Consent memory consent) private {
        vm.prank(CAT);
        registry.register{value: _value(STAKE)}(vm.addr(CAT_KEY), STAKE, consent);
    }

    // ------------------------------------------------------------------ register

    function test_register_takesTheStakeAndKnowsBothKeys() public {
        uint256 before = registry.held();
        _fund(CAT);
        _join(CAT, CAT_KEY);
        uint32 node = registry.idOf(CAT);
        Node memory cat = registry.nodeOf(node);
        expectEqual(node, 3, "id");
        expectEqual(cat.owner, CAT, "owner");
        expectEqual(cat.operator, vm.addr(CAT_KEY), "operator");
        expectEqual(cat.stake, STAKE, "stake");
        expectEqual(registry.held() - before, STAKE, "held");
        expectEqual(_balance(address(registry)), registry.held(), "balance");
    }

    function test_register_onceAnOwner() public {
        Consent memory consent = _consent(ann.owner, CAT_KEY);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.AlreadyRegistered.selector, ann.owner));
        vm.prank(ann.owner);
        registry.register(vm.addr(CAT_KEY), STAKE, consent);
    }

    function test_register_needsTheMinimumStake() public {
        Consent memory consent = _consent(CAT, CAT_KEY);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.StakeTooSmall.selector, MINIMUM_STAKE - 1, MINIMUM_STAKE)
        );
        vm.prank(CAT);
        registry.register(vm.addr(CAT_KEY), MINIMUM_STAKE - 1, consent);
    }

    function test_register_takesExactlyTheStake() public {
        if (token != address(0)) return;
        _fund(CAT);
        Consent memory consent = _consent(CAT, CAT_KEY);
        vm.expectRevert(abi.encodeWithSelector(IVault.WrongValue.selector, STAKE, STAKE - 1));
        vm.prank(CAT);
        registry.register{value: STAKE - 1}(vm.addr(CAT_KEY), STAKE, consent);
    }

    function test_register_needsTheConsentOfTheKeyToThisOwnerHere() public {
        _fund(CAT);
        address hot = vm.addr(CAT_KEY);
        bytes memory bad = abi.encodeWithSelector(INodeRegistry.BadConsent.selector, hot);
        uint64 expiry = START;

        Consent memory byAnother = _consent(CAT, CAT_KEY);
        byAnother.signature = _consent(CAT, 0xbad).signature;
        vm.expectRevert(bad);
        _register(byAnother);
        vm.expectRevert(bad);
        _register(_consent(ann.owner, CAT_KEY)); // Given to another owner.
        vm.expectRevert(bad);
        _register(_consentUntil(CAT, CAT_KEY, expiry, address(escrow), block.chainid));
        vm.expectRevert(bad);
        _register(_consentUntil(CAT, CAT_KEY, expiry, address(registry), block.chainid + 1));
        vm.expectRevert(bad);
        _register(Consent(keccak256("salt"), expiry, ""));
        Consent memory late = _consent(CAT, CAT_KEY);
        vm.warp(START + 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.ConsentExpired.selector, START));
        _register(late);
        _register(_consent(CAT, CAT_KEY));
    }

    function test_register_aKeyBelongsToOneNode() public {
        Consent memory consent = _consent(CAT, ann.key);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.KeyTaken.selector, ann.hot));
        vm.prank(CAT);
        registry.register(ann.hot, STAKE, consent);
    }

    // ------------------------------------------------------------------ keys

    function test_rotateOperator_theNewKeyWorksAndTheOldOneDoesNot() public {
        (bytes32 jobId, Spec memory spec) = _post(0);
        Consent memory consent = _consent(ann.owner, CAT_KEY);
        vm.prank(ann.owner);
        registry.rotateOperator(vm.addr(CAT_KEY), consent);

        vm.expectRevert(abi.encodeWithSelector(bytes4(keccak256("NotAnOperator(address)")), ann.hot));
        vm.prank(ann.hot);
        escrow.assign(jobId, spec);
        vm.prank(vm.addr(CAT_KEY));
        escrow.assign(jobId, spec);
        expectEqual(_jobOf(jobId).node, ann.node, "the same node");
    }

    function test_rotateOperator_isForTheOwnerAlone() public {
        Consent memory consent = _consent(ann.hot, CAT_KEY);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.UnknownNode.selector, ann.hot));
        vm.prank(ann.hot);
        registry.rotateOperator(vm.addr(CAT_KEY), consent);
    }

    function test_rotateOperator_aRetiredKeyNeverComesBack() public {
        Consent memory consent = _consent(ann.owner, CAT_KEY);
        Consent memory back = _consent(ann.owner, ann.key);
        vm.startPrank(ann.owner);
        registry.rotateOperator(vm.addr(CAT_KEY), consent);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.KeyTaken.selector, ann.hot));
        registry.rotateOperator(ann.hot, back);
    }

    function test_rotateOperator_aRetiredKeyAnswersUntilTheDelayIsOver() public {
        Consent memory consent = _consent(ann.owner, CAT_KEY);
        vm.prank(ann.owner);
        registry.rotateOperator(vm.addr(CAT_KEY), consent);
        vm.warp(START + UNSTAKE_DELAY - 1);
        expectTrue(registry.answersFor(ann.node, ann.hot), "just before");
        vm.warp(START + UNSTAKE_DELAY);
        expectTrue(!registry.answersFor(ann.node, ann.hot), "after");
        expectTrue(registry.answersFor(ann.node, vm.addr(CAT_KEY)), "the new key");
        expectTrue(!registry.answersFor(bob.node, vm.addr(CAT_KEY)), "for another node");
        expectTrue(!registry.answersFor(0, stranger), "a key of no node");
    }

    // ------------------------------------------------------------------ stake

    function test_unstake_waitsForTheDelayAndPaysTheOwner() public {
        vm.prank(ann.owner);
        registry.requestUnstake(4000);
        vm.warp(START + UNSTAKE_DELAY - 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.StakeStillLocked.selector, START + UNSTAKE_DELAY));
        vm.prank(ann.owner);
        registry.unstake();

        vm.warp(START + UNSTAKE_DELAY);
        vm.prank(ann.owner);
        registry.unstake();
        uint256 before = _balance(ann.owner);
        registry.withdraw(ann.owner);
        expectEqual(_balance(ann.owner) - before, 4000, "paid to the cold key");
        expectEqual(registry.nodeOf(ann.node).stake, STAKE - 4000, "stake");
        expectEqual(registry.held(), 2 * STAKE - 4000, "held");
    }

    function test_unstake_onlyWhatWasAskedFor() public {
        vm.startPrank(ann.owner);
        vm.expectRevert(INodeRegistry.NothingToUnstake.selector);
        registry.unstake();
        vm.expectRevert(INodeRegistry.NothingToUnstake.selector);
        registry.requestUnstake(0);
        registry.requestUnstake(1);
        vm.warp(START + UNSTAKE_DELAY);
        registry.unstake();
        vm.expectRevert(INodeRegistry.NothingToUnstake.selector);
        registry.unstake();
    }

    function test_requestUnstake_aSecondRequestMakesAllWaitAnew() public {
        vm.startPrank(ann.owner);
        registry.requestUnstake(1);
        vm.warp(START + UNSTAKE_DELAY - 1);
        registry.requestUnstake(1);
        vm.warp(START + UNSTAKE_DELAY);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.StakeStillLocked.selector, START + 2 * UNSTAKE_DELAY - 1)
        );
        registry.unstake();
    }

    function test_requestUnstake_neverTouchesABond() public {
        _assigned(0);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotEnoughStake.selector, STAKE - BOND, STAKE));
        vm.prank(ann.owner);
        registry.requestUnstake(STAKE);
    }

    function test_requestUnstake_isForTheOwnerAlone() public {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.UnknownNode.selector, ann.hot));
        vm.prank(ann.hot);
        registry.requestUnstake(1);
    }

    function test_addStake_grows() public {
        uint256 value = _value(7);
        vm.prank(ann.owner);
        registry.addStake{value: value}(7);
        expectEqual(registry.freeStakeOf(ann.node), STAKE + 7, "free");
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.UnknownNode.selector, stranger));
        vm.prank(stranger);
        registry.addStake(7);
    }

    // ------------------------------------------------------------------ bonds

    function test_lock_assignmentLocksTheBond() public {
        (bytes32 jobId, Spec memory spec) = _post(0);
        vm.expectEmit(address(registry));
        emit INodeRegistry.BondLocked(jobId, ann.node, BOND);
        _assign(ann, jobId, spec);
        expectEqual(registry.nodeOf(ann.node).locked, BOND, "locked");
        expectEqual(registry.freeStakeOf(ann.node), STAKE - BOND, "free");
    }

    function test_lock_leavingStakeBacksNoNewBond() public {
        (bytes32 jobId, Spec memory spec) = _post(0);
        vm.prank(ann.owner);
        registry.requestUnstake(STAKE - MINIMUM_STAKE);
        _assign(ann, jobId, spec); // 325 of 1000.
        for (uint64 nonce = 1; nonce < 3; ++nonce) _assigned(nonce);
        (jobId, spec) = _post(3);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotEnoughStake.selector, 25, BOND));
        _assign(ann, jobId, spec);
    }

    function test_lock_needsTheMinimumStakeToStay() public {
        (bytes32 jobId, Spec memory spec) = _post(0);
        vm.prank(ann.owner);
        registry.requestUnstake(STAKE - MINIMUM_STAKE + 1);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.StakeTooSmall.selector, MINIMUM_STAKE - 1, MINIMUM_STAKE)
        );
        _assign(ann, jobId, spec);
    }

    function test_lock_releaseAndForfeitAreForTheEscrowAlone() public {
        bytes memory reason = abi.encodeWithSelector(INodeRegistry.NotTheEscrow.selector, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(reason);
        registry.lock(0, ann.node, 1);
        vm.expectRevert(reason);
        registry.release(ann.node, 0);
        vm.expectRevert(reason);
        registry.forfeit(0, ann.node, 0, stranger, stranger);
    }

    // ------------------------------------------------------------------ bans

    function test_ban_isForTheRollupAlone() public {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotTheRollup.selector, address(escrow)));
        vm.prank(address(escrow));
        registry.ban(ann.node, stranger);
    }

    function test_ban_takesWhatWaitsToLeaveAndSparesBonds() public {
        _assigned(0);
        vm.prank(ann.owner);
        registry.requestUnstake(9000);
        _equivocate();
        Node memory node = registry.nodeOf(ann.node);
        expectTrue(node.banned, "banned");
        expectEqual(node.leaving, 0, "nothing leaves");
        expectEqual(node.stake, BOND, "the bond is the job's");
        expectEqual(node.locked, BOND, "locked");
        expectEqual(registry.creditOf(stranger), 967, "a tenth of 9675 to the reporter");
        expectEqual(registry.creditOf(BURNED), 8708, "the rest is burned");
        expectEqual(registry.held(), 2 * STAKE, "nothing is lost");
    }

    function test_ban_endsAllThatTheOwnerMayDo() public {
        vm.prank(ann.owner);
        registry.requestUnstake(1);
        _equivocate();
        vm.warp(START + UNSTAKE_DELAY);
        bytes memory reason = abi.encodeWithSelector(INodeRegistry.Banned.selector, ann.node);
        Consent memory consent = _consent(ann.owner, CAT_KEY);
        vm.startPrank(ann.owner);
        vm.expectRevert(reason);
        registry.unstake();
        vm.expectRevert(reason);
        registry.requestUnstake(1);
        vm.expectRevert(reason);
        registry.addStake(1);
        vm.expectRevert(reason);
        registry.rotateOperator(vm.addr(CAT_KEY), consent);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.AlreadyRegistered.selector, ann.owner));
        registry.register(vm.addr(CAT_KEY), STAKE, consent);
    }

    function test_ban_burnedStakeLeavesTheContract() public {
        _equivocate();
        registry.withdraw(BURNED);
        expectEqual(_balance(BURNED), 9000, "burned");
    }

    // ------------------------------------------------------------------ constructor

    function test_constructor_refusesADelayThatTimesCannotHold() public {
        bytes memory arguments = abi.encode(token, escrow, rollup, MINIMUM_STAKE, uint64(36_501 days));
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.DelayOutOfRange.selector, uint64(36_501 days)));
        this.deploy("NodeRegistry", arguments);
        arguments = abi.encode(token, address(0), rollup, MINIMUM_STAKE, UNSTAKE_DELAY);
        vm.expectRevert(IVault.ZeroAddress.selector);
        this.deploy("NodeRegistry", arguments);
    }

    function deploy(string calldata name, bytes calldata arguments) external returns (address) {
        return _deploy(name, arguments);
    }

    // ------------------------------------------------------------------ fuzz

    // Locked and leaving stake stay within the stake, and what is held is all stakes and credits.
    function testFuzz_stake_isNeverPromisedTwice(uint128 leaving, uint8 jobs, uint128 more) public {
        leaving = leaving % (STAKE + 1);
        vm.startPrank(ann.owner);
        if (leaving != 0) registry.requestUnstake(leaving);
        vm.stopPrank();
        for (uint64 nonce = 0; nonce < jobs % 40; ++nonce) {
            (bytes32 jobId, Spec memory spec) = _post(nonce);
            vm.prank(ann.hot);
            try escrow.assign(jobId, spec) {} catch {}
        }
        more = more % STAKE + 1;
        vm.prank(ann.owner);
        try registry.requestUnstake(more) {} catch {}
        Node memory node = registry.nodeOf(ann.node);
        expectTrue(node.locked + node.leaving <= node.stake, "promised twice");
        expectTrue(node.locked == 0 || node.locked % BOND == 0, "whole bonds");
        expectEqual(registry.held(), 2 * STAKE, "held");
    }
}

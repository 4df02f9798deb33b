// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Header, Result, Spec} from "../src/Identifiers.sol";
import {EscrowTerms, IJobEscrow, Job, JobState, Settlement} from "../src/interfaces/IJobEscrow.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {Hashes} from "./Hashes.sol";
import {PlainToken} from "./Doubles.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

contract JobEscrowTest is World {
    // ------------------------------------------------------------------ post

    function test_post_computesTheSpecHashAndTakesExactlyTheCap() public {
        Spec memory spec = _spec();
        uint256 before = _balance(client);
        bytes32 jobId = escrow.jobIdOf(client, 7);
        vm.expectEmit(address(escrow));
        emit IJobEscrow.JobPosted(jobId, client, spec.modelId, Hashes.specHash(spec), 7, CAP, spec, "");
        _postAs(client, 7, spec);

        Job memory job = _jobOf(jobId);
        expectEqual(escrow.specHashOf(spec), Hashes.specHash(spec), "spec hash");
        expectTrue(escrow.isNonceUsed(client, 7), "nonce");
        expectEqual(job.client, client, "client");
        expectEqual(escrow.capOf(_specs[jobId]), CAP, "cap");
        expectEqual(escrow.bondOf(_specs[jobId]), BOND, "bond");
        expectEqual(before - _balance(client), CAP, "taken");
        expectEqual(escrow.held(), CAP, "held");
        expectEqual(_balance(address(escrow)), CAP, "balance");
        _expectState(jobId, JobState.Open);
    }

    function test_post_refusesAnyOtherValue() public {
        Spec memory spec = _spec();
        uint256 cap = _value(CAP);
        vm.startPrank(client);
        if (token == address(0)) {
            vm.expectRevert(abi.encodeWithSelector(IVault.WrongValue.selector, CAP, CAP - 1));
            escrow.post{value: CAP - 1}(spec, 0, "");
        }
        vm.deal(client, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(IVault.WrongValue.selector, cap, cap + 1));
        escrow.post{value: cap + 1}(spec, 0, "");
    }

    function test_post_againHasNoEffectAndTakesNoValue() public {
        (, Spec memory spec) = _post(0);
        vm.startPrank(client);
        vm.deal(client, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(IVault.WrongValue.selector, 0, CAP));
        escrow.post{value: CAP}(spec, 0, "");
        vm.recordLogs();
        escrow.post(spec, 0, "");
        expectEqual(vm.getRecordedLogs().length, 0, "events");
        expectEqual(escrow.held(), CAP, "held");
    }

    function test_post_againHasNoEffectInAnyState() public {
        (bytes32 jobId, Spec memory spec) = _post(0);
        vm.startPrank(client);
        escrow.cancel(jobId, _specs[jobId]);
        vm.warp(spec.deadline + 1);
        escrow.post(spec, 0, "");
        _expectState(jobId, JobState.Cancelled);
    }

    function test_post_otherTermsRevert() public {
        (bytes32 jobId, Spec memory spec) = _post(0);
        for (uint256 field = 0; field < 9; ++field) {
            Spec memory other = _changed(spec, field);
            bytes32 given = Hashes.specHash(other);
            vm.expectRevert(abi.encodeWithSelector(IJobEscrow.OtherTerms.selector, jobId, given));
            vm.prank(client);
            escrow.post(other, 0, "");
        }
    }

    function test_post_theClientAndTheNonceAreTheJob() public {
        (bytes32 first,) = _post(0);
        (bytes32 second,) = _post(1);
        bytes32 third = _postAs(otherClient, 0, _spec());
        expectTrue(first != second && first != third && second != third, "ids");
        expectEqual(escrow.held(), 3 * CAP, "held");
    }

    function test_post_theJobIdNamesChainAndContract() public {
        bytes32 here = escrow.jobIdOf(client, 0);
        bytes32 expected =
            keccak256(abi.encode(keccak256("lockstep.job.v1"), block.chainid, address(escrow), client, uint64(0)));
        expectEqual(here, expected, "id");
        vm.chainId(block.chainid + 1);
        expectTrue(escrow.jobIdOf(client, 0) != here, "another chain");
    }

    function test_post_needsADeadlineInRange() public {
        Spec memory spec = _spec();
        uint64[2] memory wrong = [START, START + LONGEST_DEADLINE + 1];
        for (uint256 i = 0; i < 2; ++i) {
            spec.deadline = wrong[i];
            vm.expectRevert(
                abi.encodeWithSelector(
                    IJobEscrow.DeadlineOutOfRange.selector, wrong[i], START + 1, START + LONGEST_DEADLINE
                )
            );
            this.postAs(client, 0, spec);
        }
        spec.deadline = START + 1;
        _postAs(client, 0, spec);
        spec.deadline = START + LONGEST_DEADLINE;
        _postAs(client, 1, spec);
    }

    function postAs(address who, uint64 nonce, Spec memory spec) external {
        _postAs(who, nonce, spec);
    }

    function test_post_boundsThePromptInTheEvent() public {
        uint256 value = _value(CAP);
        vm.startPrank(client);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.PromptTooLong.selector, 4097, 4096));
        escrow.post{value: value}(_spec(), 0, new bytes(4097));
        escrow.post{value: value}(_spec(), 0, new bytes(4096));
    }

    // ------------------------------------------------------------------ assign

    function test_assign_recordsProviderAndTime() public {
        (bytes32 jobId, Spec memory spec) = _post(0);
        vm.warp(START + 5);
        vm.expectEmit(address(escrow));
        emit IJobEscrow.JobAssigned(jobId, ann.owner, ann.node, Hashes.specHash(spec), 1, BOND);
        _assign(ann, jobId, spec);
        Job memory job = _jobOf(jobId);
        expectEqual(job.node, ann.node, "node");
        expectEqual(job.assignedAt, START + 5, "time");
        _expectState(jobId, JobState.Assigned);
    }

    function test_assign_onlyByAnOperatorKey() public {
        (bytes32 jobId, Spec memory spec) = _post(0);
        address[2] memory callers = [stranger, ann.owner];
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotAnOperator.selector, callers[i]));
            vm.prank(callers[i]);
            escrow.assign(jobId, spec);
        }
    }

    function test_assign_onlyByTheProviderThatTheSpecNames() public {
        Spec memory spec = _spec();
        spec.provider = bob.owner;
        bytes32 jobId = _postAs(client, 0, spec);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotTheProvider.selector, jobId, ann.owner));
        _assign(ann, jobId, spec);
        _assign(bob, jobId, spec);
    }

    function test_assign_onlyOnTheTermsThatTheProviderSaw() public {
        (bytes32 jobId, Spec memory spec) = _post(0);
        for (uint256 field = 0; field < 9; ++field) {
            Spec memory other = _changed(spec, field);
            vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongState.selector, jobId, JobState.None));
            _assign(ann, jobId, other);
        }
    }

    function test_assign_onlyUpToTheDeadline() public {
        (bytes32 jobId, Spec memory spec) = _post(0);
        vm.warp(spec.deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.TooLate.selector, jobId, spec.deadline));
        _assign(ann, jobId, spec);
        vm.warp(spec.deadline);
        _assign(ann, jobId, spec);
    }

    function test_assign_whoComesSecondLosesNothing() public {
        (bytes32 jobId, Spec memory spec) = _assigned(0);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.WrongState.selector, jobId, JobState.Assigned));
        _assign(bob, jobId, spec);
        expectEqual(registry.nodeOf(bob.node).locked, 0, "locked");
    }

    function test_assign_aSmallJobLocksTheMinimumBond() public {
        Spec memory spec = _spec();
        spec.pricePerPromptToken = 0;
        spec.pricePerCompletionToken = 0;
        bytes32 jobId = _postAs(client, 0, spec);
        _assign(ann, jobId, spec);
        expectEqual(registry.nodeOf(ann.node).locked, MINIMUM_BOND, "locked");
    }

    // ------------------------------------------------------------------ cancel

    function test_cancel_givesTheClientTheCapBack() public {
        (bytes32 jobId,) = _post(0);
        vm.prank(client);
        escrow.cancel(jobId, _specs[jobId]);
        _expectState(jobId, JobState.Cancelled);
        expectEqual(escrow.creditOf(client), CAP, "credit");
    }

    function test_cancel_onlyByTheClient() public {
        (bytes32 jobId,) = _post(0);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotTheClient.selector, jobId, stranger));
        vm.prank(stranger);
        escrow.cancel(jobId, _specs[jobId]);
    }

    // ------------------------------------------------------------------ expire

    function test_expire_onlyAfterDeadlineWindowAndClaimPeriod() public {
        (bytes32 open, Spec memory spec) = _post(0);
        (bytes32 assigned,) = _assigned(1);
        uint64 end = spec.deadline + WINDOW + CLAIM_PERIOD;
        vm.warp(end);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.TooEarly.selector, open, end + 1));
        escrow.expire(open, _specs[open]);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.TooEarly.selector, assigned, end + 1));
        escrow.expire(assigned, _specs[assigned]);
        vm.warp(end + 1);
        escrow.expire(open, _specs[open]);
        escrow.expire(assigned, _specs[assigned]);
        _expectState(open, JobState.Expired);
        _expectState(assigned, JobState.Expired);
        expectEqual(escrow.creditOf(client), 2 * CAP, "both caps come back");
    }

    function test_expire_theBondOfAnAssignedJobGoesToTheClient() public {
        (bytes32 jobId,) = _assigned(0);
        vm.warp(escrow.expiresAt(_specs[jobId]) + 1);
        escrow.expire(jobId, _specs[jobId]);
        expectEqual(registry.creditOf(client), BOND, "bond");
        expectEqual(registry.nodeOf(ann.node).stake, STAKE - BOND, "stake");
        expectEqual(registry.nodeOf(ann.node).locked, 0, "locked");
    }

    // ------------------------------------------------------------------ slash

    function test_slash_capAndBondGoToTheClientOnceTheNodeIsBanned() public {
        (bytes32 jobId,) = _assigned(0);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotBanned.selector, jobId, ann.node));
        escrow.slash(jobId, _specs[jobId]);
        _equivocate();
        escrow.slash(jobId, _specs[jobId]);
        _expectState(jobId, JobState.Slashed);
        expectEqual(escrow.creditOf(client), CAP, "cap");
        expectEqual(registry.creditOf(client), BOND, "bond");
        expectEqual(registry.nodeOf(ann.node).stake, 0, "stake");
    }

    // ------------------------------------------------------------------ states

    // Every arrow that the states do not have.
    function test_states_moveOnlyAlongTheArrows() public {
        bytes32[7] memory jobs = _oneJobInEveryState();
        for (uint256 s = 0; s < 7; ++s) {
            bytes32 jobId = jobs[s];
            JobState state = JobState(s);
            expectEqual(uint256(_stateOf(jobId)), s, "arranged");
            bytes memory reason = abi.encodeWithSelector(IJobEscrow.WrongState.selector, jobId, state);
            if (state != JobState.Open) {
                vm.expectRevert(reason);
                _assign(bob, jobId, _specs[jobId]);
                vm.expectRevert(reason);
                vm.prank(client);
                escrow.cancel(jobId, _specs[jobId]);
            }
            if (state != JobState.Assigned) {
                vm.expectRevert(reason);
                escrow.slash(jobId, _specs[jobId]);
                vm.expectRevert(reason);
                vm.prank(address(rollup));
                escrow.slashRefuted(jobId, _specs[jobId], ann.owner, ann.node, stranger);
                expectTrue(!_settle(jobId), "settled");
            }
            if (state != JobState.Open && state != JobState.Assigned) {
                vm.expectRevert(reason);
                escrow.expire(jobId, _specs[jobId]);
            }
            _expectState(jobId, state);
        }
    }

    function _settle(bytes32 jobId) private returns (bool) {
        Settlement[] memory settlements = new Settlement[](1);
        bytes32 spec = Hashes.specHash(_specs[jobId]);
        settlements[0] = Settlement(jobId, spec, 0, CAP, PRICE_OF_10, uint64(block.timestamp));
        vm.prank(address(rollup));
        return escrow.settle(ann.owner, ann.node, uint64(block.timestamp), settlements)[0];
    }

    function _oneJobInEveryState() private returns (bytes32[7] memory jobs) {
        jobs[uint256(JobState.None)] = keccak256("no job");
        (jobs[uint256(JobState.Expired)],) = _post(5);
        vm.warp(escrow.expiresAt(_specs[jobs[uint256(JobState.Expired)]]) + 1);
        escrow.expire(jobs[uint256(JobState.Expired)], _specs[jobs[uint256(JobState.Expired)]]);
        Header memory header;
        Result memory result;
        (jobs[uint256(JobState.Final)], header, result) = _ripe(3);
        _claim(header, result);
        (jobs[uint256(JobState.Cancelled)],) = _post(4);
        vm.prank(client);
        escrow.cancel(jobs[uint256(JobState.Cancelled)], _specs[jobs[uint256(JobState.Cancelled)]]);
        (jobs[uint256(JobState.Slashed)],) = _assigned(6);
        bytes32 slashed = jobs[uint256(JobState.Slashed)];
        vm.prank(address(rollup));
        escrow.slashRefuted(slashed, _specs[slashed], ann.owner, ann.node, stranger);
        (jobs[uint256(JobState.Open)],) = _post(1);
        (jobs[uint256(JobState.Assigned)],) = _assigned(2);
    }

    function test_settle_andSlashRefutedAreForTheRollupAlone() public {
        (bytes32 jobId,) = _assigned(0);
        bytes memory reason = abi.encodeWithSelector(IJobEscrow.NotTheRollup.selector, ann.hot);
        vm.startPrank(ann.hot);
        vm.expectRevert(reason);
        escrow.settle(ann.owner, ann.node, START, new Settlement[](0));
        vm.expectRevert(reason);
        escrow.slashRefuted(jobId, _specs[jobId], ann.owner, ann.node, stranger);
    }

    // ------------------------------------------------------------------ constructor

    function test_constructor_refusesTermsThatMakeNoSense() public {
        EscrowTerms memory terms = _terms();
        terms.claimPeriod = 0;
        _expectBadTerms(terms);
        terms = _terms();
        terms.longestDeadline = 0;
        _expectBadTerms(terms);
        terms.longestDeadline = 3651 days;
        _expectBadTerms(terms);
        terms = _terms();
        terms.window = 3651 days;
        _expectBadTerms(terms);
        terms = _terms();
        terms.claimPeriod = 3651 days;
        _expectBadTerms(terms);
        vm.expectRevert(IVault.ZeroAddress.selector);
        this.deploy(abi.encode(token, registry, address(0), _terms()));
    }

    function _expectBadTerms(EscrowTerms memory terms) private {
        vm.expectRevert(IJobEscrow.TermsOutOfRange.selector);
        this.deploy(abi.encode(token, registry, rollup, terms));
    }

    function deploy(bytes calldata arguments) external returns (address) {
        return _deploy("JobEscrow", arguments);
    }

    // ------------------------------------------------------------------ fuzz

    // Whatever the terms, the cap is what the fields say, it is taken to the last unit and comes back to the last unit.
    function testFuzz_post_theCapIsExact(uint32 prompt, uint32 most, uint64 a, uint64 b, uint64 nonce) public {
        Spec memory spec = _spec();
        (spec.promptTokens, spec.maxCompletionTokens) = (prompt, most);
        (spec.pricePerPromptToken, spec.pricePerCompletionToken) = (a, b);
        uint256 cap = uint256(prompt) * a + uint256(most) * b;
        _fundWith(client, cap);
        uint256 before = _balance(client);
        bytes32 jobId = _postAs(client, nonce, spec);
        expectEqual(escrow.capOf(_specs[jobId]), cap, "cap");
        expectEqual(before - _balance(client), cap, "taken");
        vm.prank(client);
        escrow.cancel(jobId, _specs[jobId]);
        if (cap != 0) escrow.withdraw(client);
        expectEqual(_balance(client), before, "back");
        expectEqual(escrow.held(), 0, "held");
    }

    function _fundWith(address account, uint256 amount) private {
        if (token == address(0)) vm.deal(account, amount);
        else PlainToken(token).mint(account, amount);
    }
}

// SPDX-License-Identifier: MIT
// What a claim needs, and what it pays.
pragma solidity 0.8.37;

import {Header, Result, Spec} from "../src/Identifiers.sol";
import {IJobEscrow, JobState} from "../src/interfaces/IJobEscrow.sol";
import {IResultRollup} from "../src/interfaces/IResultRollup.sol";
import {LeafStatus} from "../src/interfaces/IDisputeGame.sol";
import {Hashes} from "./Hashes.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

contract ClaimTest is World {
    function _claimed(Header memory header, Result memory result, bytes memory reason) private {
        vm.expectRevert(reason);
        rollup.claim(header, result, _none());
    }

    // Ann submits this result alone and its window passes.
    function _rolledUp(Result memory result) private returns (Header memory header) {
        header = _submit(ann, _one(result));
        vm.warp(block.timestamp + WINDOW);
    }

    function test_claim_paysThePriceToTheOwnerAndTheRestToTheClient() public {
        (bytes32 jobId, Header memory header, Result memory result) = _ripe(0);
        vm.expectEmit(address(escrow));
        emit IJobEscrow.JobFinal(jobId, Hashes.resultHash(result), PRICE_OF_10);
        vm.prank(stranger);
        rollup.claim(header, result, _none());
        _expectState(jobId, JobState.Final);
        expectEqual(escrow.creditOf(ann.owner), PRICE_OF_10, "price to the cold key");
        expectEqual(escrow.creditOf(ann.hot), 0, "nothing to the hot key");
        expectEqual(escrow.creditOf(client), CAP - PRICE_OF_10, "the rest");
        expectEqual(registry.nodeOf(ann.node).locked, 0, "the bond is free");
        expectEqual(registry.nodeOf(ann.node).stake, STAKE, "stake");
        expectTrue(rollup.isClaimed(rollup.headerHashOf(header), 0), "bit");
        expectTrue(rollup.recordOf(ann.owner, 0).finalized, "a claim finalizes");
        escrow.withdraw(ann.owner);
        escrow.withdraw(client);
        expectEqual(_balance(address(escrow)), 0, "to the last unit");
    }

    function test_claim_onlyOnce() public {
        (, Header memory header, Result memory result) = _ripe(0);
        _claim(header, result);
        _claimed(
            header,
            result,
            abi.encodeWithSelector(IResultRollup.AlreadyClaimed.selector, rollup.headerHashOf(header), 0)
        );
    }

    function test_claim_onlyAfterTheWindow() public {
        (, Header memory header, Result memory result) = _ripe(0);
        vm.warp(START + WINDOW - 1);
        _claimed(header, result, abi.encodeWithSelector(IResultRollup.WindowOpen.selector, START + WINDOW));
    }

    function test_claim_onlyAgainstARecordedHeader() public {
        (, Header memory header, Result memory result) = _ripe(0);
        header.dataCommitment = 0;
        _claimed(
            header,
            result,
            abi.encodeWithSelector(IResultRollup.NotRecorded.selector, rollup.headerHashOf(header))
        );
    }

    function test_claim_onlyForAnAssignedJob() public {
        (bytes32 jobId, Spec memory spec) = _post(0);
        Result memory result = _result(0, jobId, spec);
        _claimed(_rolledUp(result), result, abi.encodeWithSelector(IResultRollup.JobNotAssigned.selector, jobId));
        _expectState(jobId, JobState.Open);
    }

    function test_claim_onlyForTheSameSpec() public {
        (bytes32 jobId, Spec memory spec) = _assigned(0);
        Result memory result = _result(0, jobId, spec);
        for (uint256 field = 0; field < 9; ++field) {
            result.spec = _changed(spec, field);
            uint128 prompt = uint128(result.spec.promptTokens) * result.spec.pricePerPromptToken;
            result.price = prompt + 10 * result.spec.pricePerCompletionToken;
            _claimed(_rolledUp(result), result, abi.encodeWithSelector(IResultRollup.JobNotAssigned.selector, jobId));
        }
        _expectState(jobId, JobState.Assigned);
    }

    function test_claim_onlyByTheProviderOfTheJob() public {
        (bytes32 jobId, Spec memory spec) = _assigned(0);
        Result memory result = _result(0, jobId, spec);
        Header memory header = _submit(bob, _one(result));
        vm.warp(START + WINDOW);
        _claimed(header, result, abi.encodeWithSelector(IJobEscrow.NotTheProvider.selector, jobId, bob.owner));
    }

    function test_claim_onlyIfRecordedAfterTheAssignment() public {
        (bytes32 jobId, Spec memory spec) = _post(0);
        Result memory result = _result(0, jobId, spec);
        Header memory header = _submit(ann, _one(result));
        vm.warp(START + 1);
        _assign(ann, jobId, spec);
        vm.warp(START + WINDOW);
        _claimed(
            header,
            result,
            abi.encodeWithSelector(
                IJobEscrow.RecordedOutOfTime.selector, jobId, START + 1, spec.deadline, START
            )
        );
    }

    function test_claim_onlyIfRecordedUpToTheDeadline() public {
        (bytes32 jobId, Spec memory spec) = _assigned(0);
        Result memory result = _result(0, jobId, spec);
        vm.warp(spec.deadline + 1);
        _claimed(
            _rolledUp(result),
            result,
            abi.encodeWithSelector(
                IJobEscrow.RecordedOutOfTime.selector, jobId, START, spec.deadline, spec.deadline + 1
            )
        );
        (jobId, spec) = _assigned(1);
        result = _result(0, jobId, spec);
        vm.warp(spec.deadline);
        _claim(_rolledUp(result), result);
    }

    function test_claim_onlyForThePriceThatTheCountsMake() public {
        (bytes32 jobId, Spec memory spec) = _assigned(0);
        Result memory result = _result(0, jobId, spec);
        uint128[2] memory wrong = [PRICE_OF_10 - 1, PRICE_OF_10 + 1];
        for (uint256 i = 0; i < 2; ++i) {
            result.price = wrong[i];
            _claimed(
                _rolledUp(result),
                result,
                abi.encodeWithSelector(IResultRollup.PriceDiffers.selector, jobId, PRICE_OF_10, wrong[i])
            );
        }
    }

    function test_claim_neverForMoreTokensThanAsked() public {
        (bytes32 jobId, Spec memory spec) = _assigned(0);
        Result memory result = _result(0, jobId, spec);
        result.completionTokens = 51;
        result.price = CAP + 7;
        _claimed(
            _rolledUp(result), result, abi.encodeWithSelector(IResultRollup.TooManyTokens.selector, jobId, 50, 51)
        );
        result.completionTokens = 50;
        result.price = CAP;
        _claim(_rolledUp(result), result);
        expectEqual(escrow.creditOf(client), 0, "the whole cap is used");
    }

    // Every field of a result is in its leaf, directly or through the result hash and the output hash.
    function test_claim_onlyForTheResultInTheRollup() public {
        (, Header memory header, Result memory result) = _ripe(0);
        for (uint256 field = 0; field < 8; ++field) {
            Result memory other = abi.decode(abi.encode(result), (Result));
            if (field == 0) other.jobId = ~other.jobId;
            if (field == 1) other.spec.modelId = ~other.spec.modelId;
            if (field == 2) other.traceRoot = ~other.traceRoot;
            if (field == 3) other.tokensHash = ~other.tokensHash;
            if (field == 4) ++other.completionTokens;
            if (field == 5) other.finishReason = 1;
            if (field == 6) ++other.price;
            if (field == 7) ++other.completedAt;
            _claimed(header, other, abi.encodeWithSelector(IResultRollup.NotInRollup.selector, _leaf(other)));
        }
        _claim(header, result);
    }

    function test_claim_theIndexIsBelowTheCount() public {
        (bytes32 jobId, Spec memory spec) = _assigned(0);
        Result memory result = _result(1, jobId, spec);
        _claimed(
            _rolledUp(result), result, abi.encodeWithSelector(IResultRollup.IndexOutOfRange.selector, 1, 1)
        );
    }

    function test_claim_noProofIsLongerThanTheTreeIsDeep() public {
        Result[] memory results = new Result[](5);
        for (uint64 i = 0; i < 5; ++i) {
            (bytes32 jobId, Spec memory spec) = _assigned(i);
            results[i] = _result(i, jobId, spec);
        }
        Header memory header = _header(ann, results);
        header.count = 4; // The tree has five leaves and depth 3; four have depth 2.
        vm.prank(ann.hot);
        rollup.submit(header, "");
        vm.warp(START + WINDOW);
        for (uint256 i = 0; i < 4; ++i) {
            bytes32[] memory proof = _proof(results, i);
            if (proof.length != 3) continue;
            vm.expectRevert(abi.encodeWithSelector(IResultRollup.ProofTooLong.selector, 3, 2));
            rollup.claim(header, results[i], proof);
        }
    }

    function test_claim_anInnerNodeIsNoLeaf() public {
        (, Header memory header, Result memory result) = _ripe(0);
        bytes32[] memory proof = new bytes32[](1);
        vm.expectRevert(abi.encodeWithSelector(IResultRollup.ProofTooLong.selector, 1, 0));
        rollup.claim(header, result, proof);
    }

    // ------------------------------------------------------------------ once a job

    function test_claim_theSameJobInTwoRollupsPaysOnce() public {
        (bytes32 jobId, Header memory first, Result memory result) = _ripe(0);
        Header memory second = _rolledUp(result);
        _claim(first, result);
        _claimed(second, result, abi.encodeWithSelector(IResultRollup.JobNotAssigned.selector, jobId));
        expectEqual(escrow.creditOf(ann.owner), PRICE_OF_10, "credit");
    }

    function test_claim_theSameJobByTwoOperatorsPaysTheProviderAlone() public {
        (bytes32 jobId, Header memory anns, Result memory result) = _ripe(0);
        vm.warp(START);
        Header memory bobs = _submit(bob, _one(result));
        vm.warp(START + WINDOW);
        _claimed(bobs, result, abi.encodeWithSelector(IJobEscrow.NotTheProvider.selector, jobId, bob.owner));
        _claim(anns, result);
        _claimed(bobs, result, abi.encodeWithSelector(IResultRollup.JobNotAssigned.selector, jobId));
        expectEqual(escrow.creditOf(bob.owner), 0, "credit");
    }

    function test_claim_theSameIndexTwicePaysOnce() public {
        (bytes32 one, Spec memory spec) = _assigned(0);
        (bytes32 other,) = _assigned(1);
        Result[] memory results = new Result[](2);
        results[0] = _result(0, one, spec);
        results[1] = _result(0, other, spec);
        Header memory header = _submit(ann, results);
        vm.warp(START + WINDOW);
        rollup.claim(header, results[0], _proof(results, 0));
        bytes32[] memory proof = _proof(results, 1);
        vm.expectRevert(
            abi.encodeWithSelector(IResultRollup.AlreadyClaimed.selector, rollup.headerHashOf(header), 0)
        );
        rollup.claim(header, results[1], proof);
    }

    // ------------------------------------------------------------------ disputes

    function test_claim_notWhileAGameIsOpen() public {
        (, Header memory header, Result memory result) = _ripe(0);
        game.set(_leaf(result), LeafStatus.Open, address(0));
        vm.warp(START + WINDOW + LONGEST_GAME - 1);
        _claimed(header, result, abi.encodeWithSelector(IResultRollup.GameOpen.selector, _leaf(result)));
        game.set(_leaf(result), LeafStatus.None, address(0));
        _claim(header, result);
    }

    function test_claim_noGameHoldsMoneyForEver() public {
        (, Header memory header, Result memory result) = _ripe(0);
        game.set(_leaf(result), LeafStatus.Open, address(0));
        vm.warp(START + WINDOW + LONGEST_GAME);
        _claim(header, result);
    }

    function test_claim_neverForARefutedLeaf() public {
        (bytes32 jobId, Header memory header, Result memory result) = _ripe(0);
        game.set(_leaf(result), LeafStatus.Refuted, stranger);
        vm.warp(START + WINDOW + LONGEST_GAME);
        _claimed(header, result, abi.encodeWithSelector(IResultRollup.LeafRefuted.selector, _leaf(result)));
        _expectState(jobId, JobState.Assigned);
    }

    function test_slashRefuted_theClientGetsTheCapAndSharesTheBondWithTheChallenger() public {
        (bytes32 jobId, Header memory header, Result memory result) = _ripe(0);
        game.set(_leaf(result), LeafStatus.Refuted, stranger);
        vm.expectEmit(address(escrow));
        emit IJobEscrow.JobSlashed(jobId, stranger, CAP, BOND);
        rollup.slashRefuted(header, result, _none());
        _expectState(jobId, JobState.Slashed);
        expectEqual(escrow.creditOf(client), CAP, "cap");
        expectEqual(registry.creditOf(stranger), 162, "half of 325");
        expectEqual(registry.creditOf(client), 163, "the rest");
    }

    function test_slashRefuted_onlyWhatAGameHasRefuted() public {
        (, Header memory header, Result memory result) = _ripe(0);
        bytes memory reason = abi.encodeWithSelector(IResultRollup.NotRefuted.selector, _leaf(result));
        vm.expectRevert(reason);
        rollup.slashRefuted(header, result, _none());
        game.set(_leaf(result), LeafStatus.Open, address(0));
        vm.expectRevert(reason);
        rollup.slashRefuted(header, result, _none());
        _deployAll(address(0));
        ann = _join(address(0xe0), 0xe1);
        _fund(client);
        vm.warp(START);
        (, header, result) = _ripe(0);
        vm.expectRevert(abi.encodeWithSelector(IResultRollup.NotRefuted.selector, _leaf(result)));
        rollup.slashRefuted(header, result, _none());
    }

    function test_slashRefuted_onlyTheProvidersOwnLeaf() public {
        (bytes32 jobId,, Result memory result) = _ripe(0);
        Header memory bobs = _submit(bob, _one(result));
        game.set(_leaf(result), LeafStatus.Refuted, stranger);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.NotTheProvider.selector, jobId, bob.owner));
        rollup.slashRefuted(bobs, result, _none());
        Result memory forged = abi.decode(abi.encode(result), (Result));
        forged.completedAt = 0;
        vm.expectRevert(abi.encodeWithSelector(IResultRollup.NotInRollup.selector, _leaf(forged)));
        rollup.slashRefuted(bobs, forged, _none());
        bobs.count = 7;
        vm.expectRevert(
            abi.encodeWithSelector(IResultRollup.NotRecorded.selector, rollup.headerHashOf(bobs))
        );
        rollup.slashRefuted(bobs, result, _none());
    }

    // ------------------------------------------------------------------ fuzz

    // Any number of leaves, any of them: its proof pays it, and no other leaf's proof does.
    function testFuzz_claim_everyLeafByItsOwnProof(uint8 leaves, uint8 which, uint8 tokens) public {
        uint64 count = leaves % 12 + 1;
        Result[] memory results = new Result[](count);
        for (uint64 i = 0; i < count; ++i) {
            (bytes32 jobId, Spec memory spec) = _assigned(i);
            results[i] = _result(i, jobId, spec);
            results[i].completionTokens = tokens % 51;
            results[i].price = 300 + 7 * uint128(tokens % 51);
        }
        Header memory header = _submit(ann, results);
        vm.warp(START + WINDOW);
        uint256 at_ = which % count;
        if (count > 1) {
            bytes32[] memory others = _proof(results, (at_ + 1) % count);
            vm.expectRevert(abi.encodeWithSelector(IResultRollup.NotInRollup.selector, _leaf(results[at_])));
            rollup.claim(header, results[at_], others);
        }
        rollup.claim(header, results[at_], _proof(results, at_));
        expectEqual(escrow.creditOf(ann.owner), 300 + 7 * uint256(tokens % 51), "price");
        expectEqual(escrow.held(), uint256(count) * CAP, "held");
    }
}

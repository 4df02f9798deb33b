// SPDX-License-Identifier: MIT
// Many claims in one call.
pragma solidity 0.8.37;

import {Header, Result, Spec} from "../src/Identifiers.sol";
import {LeafStatus} from "../src/interfaces/IDisputeGame.sol";
import {IJobEscrow, JobState} from "../src/interfaces/IJobEscrow.sol";
import {IResultRollup} from "../src/interfaces/IResultRollup.sol";
import {Batches} from "./Batches.sol";
import {vm} from "./Vm.sol";

contract SettleManyTest is Batches {
    function settle(Header memory header, Result[] memory results, uint256 chosen) external {
        _settle(header, results, chosen);
    }

    function test_settleMany_paysAll() public {
        (Header memory header, Result[] memory results) = _batch(7);
        expectEqual(_settle(header, results, 127), 7, "settled");
        expectEqual(escrow.creditOf(ann.owner), 7 * PRICE_OF_10, "prices");
        expectEqual(escrow.creditOf(client), 7 * (CAP - PRICE_OF_10), "rests");
        expectEqual(registry.nodeOf(ann.node).locked, 0, "bonds");
        for (uint64 i = 0; i < 7; ++i) {
            _expectState(results[i].jobId, JobState.Final);
            expectTrue(rollup.isClaimed(rollup.headerHashOf(header), i), "bit");
        }
    }

    // Clients in turn, as the leaves' order has it.
    function test_settleMany_paysEachClientItsOwnRest() public {
        Result[] memory results = new Result[](6);
        for (uint64 i = 0; i < 6; ++i) {
            Spec memory spec = _spec();
            bytes32 jobId = _postAs(i % 3 == 0 ? client : otherClient, i, spec);
            _assign(ann, jobId, spec);
            results[i] = _result(i, jobId, spec);
        }
        Header memory header = _submit(ann, results);
        vm.warp(START + WINDOW);
        expectEqual(_settle(header, results, 63), 6, "settled");
        expectEqual(escrow.creditOf(client), 2 * (CAP - PRICE_OF_10), "rests");
        expectEqual(escrow.creditOf(otherClient), 4 * (CAP - PRICE_OF_10), "rests of the other");
        expectEqual(escrow.creditOf(ann.owner), 6 * PRICE_OF_10, "prices");
    }

    function test_settleMany_anyPart() public {
        (Header memory header, Result[] memory results) = _batch(5);
        expectEqual(_settle(header, results, 9), 2, "settled");
        _expectState(results[3].jobId, JobState.Final);
        _expectState(results[1].jobId, JobState.Assigned);
        expectEqual(_settle(header, results, 31), 3, "the rest");
    }

    function test_settleMany_aClaimedLeafSpoilsNoBatch() public {
        (Header memory header, Result[] memory results) = _batch(3);
        vm.prank(stranger);
        rollup.claim(header, results[1], _proof(results, 1));
        expectEqual(_settle(header, results, 7), 2, "settled");
        expectEqual(_settle(header, results, 7), 0, "again: no effect");
        expectEqual(escrow.creditOf(ann.owner), 3 * PRICE_OF_10, "prices");
    }

    function test_settleMany_leavesInDisputeAreLeftOut() public {
        (Header memory header, Result[] memory results) = _batch(4);
        game.set(_leaf(results[0]), LeafStatus.Open, address(0));
        game.set(_leaf(results[2]), LeafStatus.Refuted, stranger);
        expectEqual(_settle(header, results, 15), 2, "settled");
        _expectState(results[0].jobId, JobState.Assigned);
        _expectState(results[2].jobId, JobState.Assigned);
        expectTrue(!rollup.isClaimed(rollup.headerHashOf(header), 0), "no bit without payment");
        rollup.slashRefuted(header, results[2], _proof(results, 2));
        vm.warp(START + WINDOW + LONGEST_GAME);
        expectEqual(_settle(header, results, 15), 1, "the game is over by time");
    }

    function test_settleMany_jobsThatAreOverAreLeftOut() public {
        (Header memory header, Result[] memory results) = _batch(3);
        vm.warp(escrow.expiresAt(_specs[results[1].jobId]) + 1);
        escrow.expire(results[1].jobId, _specs[results[1].jobId]);
        expectEqual(_settle(header, results, 7), 2, "settled");
        expectTrue(!rollup.isClaimed(rollup.headerHashOf(header), 1), "bit");
    }

    function test_settleMany_aLieSpoilsItsBatch() public {
        (bytes32 jobId, Spec memory spec) = _assigned(9);
        Result[] memory results = new Result[](2);
        results[0] = _result(0, jobId, spec);
        (bytes32 other,) = _assigned(8);
        results[1] = _result(1, other, spec);
        ++results[1].price;
        Header memory header = _submit(ann, results);
        vm.warp(START + WINDOW);
        vm.expectRevert(
            abi.encodeWithSelector(IResultRollup.PriceDiffers.selector, other, PRICE_OF_10, PRICE_OF_10 + 1)
        );
        this.settle(header, results, 3);
        expectEqual(_settle(header, results, 1), 1, "the honest one alone");
    }

    function test_settleMany_theSameJobTwiceInOneRollupPaysOnce() public {
        (bytes32 jobId, Spec memory spec) = _assigned(0);
        Result[] memory results = new Result[](2);
        results[0] = _result(0, jobId, spec);
        results[1] = _result(1, jobId, spec);
        Header memory header = _submit(ann, results);
        vm.warp(START + WINDOW);
        expectEqual(_settle(header, results, 3), 1, "settled");
        expectEqual(escrow.creditOf(ann.owner), PRICE_OF_10, "price");
    }

    function test_settleMany_theSameIndexTwiceInOneRollupPaysOnce() public {
        (bytes32 one, Spec memory spec) = _assigned(0);
        (bytes32 other,) = _assigned(1);
        Result[] memory results = new Result[](2);
        results[0] = _result(0, one, spec);
        results[1] = _result(0, other, spec);
        Header memory header = _submit(ann, results);
        vm.warp(START + WINDOW);
        expectEqual(_settle(header, results, 3), 1, "settled");
        expectEqual(escrow.creditOf(ann.owner), PRICE_OF_10, "price");
    }

    function test_settleMany_onlyWhatTheRollupHolds() public {
        (Header memory header, Result[] memory results) = _batch(4);
        (Result[] memory picked, bytes32[] memory proof, bool[] memory flags) = _pick(results, 5);
        ++picked[0].completedAt;
        vm.expectRevert(abi.encodeWithSelector(IResultRollup.NotInRollup.selector, header.root));
        rollup.settleMany(header, picked, proof, flags);
        picked[0].index = 4;
        vm.expectRevert(abi.encodeWithSelector(IResultRollup.IndexOutOfRange.selector, 4, 4));
        rollup.settleMany(header, picked, proof, flags);
    }

    function test_settleMany_noProofHasMorePartsThanTheRollupHasLeaves() public {
        (Header memory header, Result[] memory results) = _batch(3);
        (Result[] memory picked,,) = _pick(results, 1);
        vm.expectRevert(abi.encodeWithSelector(IResultRollup.ProofTooLong.selector, 3, 3));
        rollup.settleMany(header, picked, new bytes32[](3), new bool[](3));
    }

    function test_settleMany_onlyAfterTheWindow() public {
        (Header memory header, Result[] memory results) = _batch(2);
        vm.warp(START + WINDOW - 1);
        vm.expectRevert(abi.encodeWithSelector(IResultRollup.WindowOpen.selector, START + WINDOW));
        this.settle(header, results, 3);
    }

    // Any part of a rollup, then all of it: each job is paid once, and all money is accounted for.
    function testFuzz_settleMany_eachJobOnce(uint8 leaves, uint16 chosen) public {
        uint64 count = leaves % 10 + 1;
        (Header memory header, Result[] memory results) = _batch(count);
        uint256 part = chosen % (1 << count);
        uint256 first = _settle(header, results, part);
        uint256 second = _settle(header, results, (1 << count) - 1);
        expectEqual(first + second, count, "settled");
        expectEqual(escrow.creditOf(ann.owner) + escrow.creditOf(client), escrow.held(), "all is credit");
        expectEqual(escrow.held(), uint256(count) * CAP, "held");
    }
}

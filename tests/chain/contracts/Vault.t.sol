// SPDX-License-Identifier: MIT
// Money in and out: payments that are fetched, tokens and receivers that do not behave.
pragma solidity 0.8.37;

import {Spec} from "../src/Identifiers.sol";
import {IJobEscrow, JobState} from "../src/interfaces/IJobEscrow.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {
    CallingReceiver,
    CallingToken,
    FalseToken,
    FeeToken,
    GreedyToken,
    LyingToken,
    PlainToken,
    SilentToken,
    Unpayable
} from "./Doubles.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

contract VaultTest is World {
    bytes32 private constant REENTERED = keccak256(abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));

    // A client's credit of one cap.
    function _cancelled(address who) private returns (bytes32 jobId) {
        jobId = _postAs(who, 0, _spec());
        vm.prank(who);
        escrow.cancel(jobId, _specs[jobId]);
    }

    function test_withdraw_paysTheAccountWhoeverCalls() public {
        _cancelled(client);
        uint256 before = _balance(client);
        vm.expectEmit(address(escrow));
        emit IVault.Withdrawn(client, client, CAP);
        vm.prank(stranger);
        escrow.withdraw(client);
        expectEqual(_balance(client) - before, CAP, "paid");
        expectEqual(escrow.creditOf(client), 0, "credit");
        expectEqual(escrow.held(), 0, "held");
    }

    function test_withdraw_onceOnly() public {
        _cancelled(client);
        escrow.withdraw(client);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, client));
        escrow.withdraw(client);
    }

    function test_withdrawTo_isForTheCallersCreditAlone() public {
        _cancelled(client);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, stranger));
        vm.prank(stranger);
        escrow.withdrawTo(stranger);
        vm.startPrank(client);
        vm.expectRevert(IVault.ZeroAddress.selector);
        escrow.withdrawTo(address(0));
        escrow.withdrawTo(address(0xfeed));
        expectEqual(_balance(address(0xfeed)), CAP, "paid elsewhere");
    }

    function test_withdraw_whoCannotBePaidKeepsTheCreditAndHoldsUpNobody() public {
        if (token != address(0)) return;
        Unpayable bad = new Unpayable();
        bad.run{value: CAP}(address(escrow), CAP, abi.encodeCall(IJobEscrow.post, (_spec(), 0, "")));
        bytes32 jobId = escrow.jobIdOf(address(bad), 0);
        bad.run(address(escrow), 0, abi.encodeCall(IJobEscrow.cancel, (jobId, _spec())));
        vm.expectRevert(abi.encodeWithSelector(IVault.SendFailed.selector, bad, CAP));
        escrow.withdraw(address(bad));
        _cancelled(client);
        escrow.withdraw(client);
        bad.run(address(escrow), 0, abi.encodeCall(IVault.withdrawTo, (stranger)));
        expectEqual(escrow.held(), 0, "held");
    }

    function test_withdraw_aReceiverThatCallsBackGetsNothingTwice() public {
        if (token != address(0)) return;
        CallingReceiver thief = new CallingReceiver();
        vm.deal(address(thief), CAP);
        _cancelled(client); // Money of somebody else.
        thief.run(address(escrow), CAP, abi.encodeCall(IJobEscrow.post, (_spec(), 0, "")));
        bytes32 jobId = escrow.jobIdOf(address(thief), 0);
        thief.run(address(escrow), 0, abi.encodeCall(IJobEscrow.cancel, (jobId, _spec())));
        thief.callOnPayment(address(escrow), abi.encodeCall(IVault.withdraw, (address(thief))));
        escrow.withdraw(address(thief));
        expectTrue(!thief.succeeded(), "reentered");
        expectEqual(keccak256(thief.answer()), REENTERED, "reason");
        expectEqual(address(thief).balance, CAP, "paid once");
        expectEqual(escrow.held(), CAP, "the client's");
    }

    function test_held_ignoresWhatNobodyAskedFor() public {
        _post(0);
        if (token == address(0)) {
            vm.deal(address(escrow), 10 * CAP);
            (bool ok,) = address(escrow).call{value: 1}("");
            expectTrue(!ok, "takes no gifts");
        } else {
            PlainToken(token).mint(address(escrow), 9 * CAP);
        }
        expectEqual(escrow.held(), CAP, "held");
    }
}

// Each test has a token of its own.
contract BadTokenTest is World {
    function setUp() public override {}

    function _open(address token_) private {
        vm.warp(START);
        token = token_;
        _deployAll(address(0));
        _fund(client);
    }

    function _fundSilently(address account) private {
        SilentToken(token).mint(account, 1 ether);
    }

    function post() external returns (bytes32) {
        return _postAs(client, 0, _spec());
    }

    function test_token_thatKeepsAFeeIsRefused() public {
        _open(address(new FeeToken()));
        vm.expectRevert(abi.encodeWithSelector(IVault.WrongTransfer.selector, CAP, CAP - CAP / 100));
        this.post();
    }

    function test_token_thatLiesIsRefused() public {
        _open(address(new LyingToken()));
        vm.expectRevert(abi.encodeWithSelector(IVault.WrongTransfer.selector, CAP, 0));
        this.post();
    }

    function test_token_thatAnswersFalseIsRefused() public {
        _open(address(new FalseToken()));
        vm.expectRevert(abi.encodeWithSignature("SafeERC20FailedOperation(address)", token));
        this.post();
    }

    function test_token_thatTakesMoreThanItPaysOutIsStopped() public {
        GreedyToken greedy = new GreedyToken();
        _open(address(greedy));
        _postAs(client, 1, _spec());
        bytes32 jobId = _postAs(client, 0, _spec());
        vm.prank(client);
        escrow.cancel(jobId, _specs[jobId]);
        greedy.setGreedy(true);
        vm.expectRevert(abi.encodeWithSelector(IVault.WrongTransfer.selector, CAP, 2 * CAP));
        escrow.withdraw(client);
    }

    function test_token_thatReturnsNothingWorks() public {
        vm.warp(START);
        token = address(new SilentToken());
        _deployAll(address(0));
        _fundSilently(client);
        bytes32 jobId = _postAs(client, 0, _spec());
        vm.prank(client);
        escrow.cancel(jobId, _specs[jobId]);
        escrow.withdraw(client);
        expectEqual(_balance(client), 1 ether, "back");
    }

    function test_token_thatCallsBackFindsTheDoorClosed() public {
        CallingToken calling = new CallingToken();
        _open(address(calling));
        ann = _join(address(0xa0), 0xa1);
        Spec memory spec = _spec();
        bytes32 jobId = escrow.jobIdOf(client, 0);
        bytes[4] memory calls = [
            abi.encodeCall(IJobEscrow.post, (spec, 1, "")),
            abi.encodeCall(IJobEscrow.assign, (jobId, spec)),
            abi.encodeCall(IJobEscrow.expire, (jobId, spec)),
            abi.encodeCall(IVault.withdraw, (client))
        ];
        for (uint64 i = 0; i < calls.length; ++i) {
            calling.callOnMove(address(escrow), calls[i]);
            _postAs(client, i, spec);
            expectTrue(!calling.succeeded(), "reentered");
            expectEqual(bytes32(calling.answer()), bytes32(bytes4(keccak256("ReentrancyGuardReentrantCall()"))), "why");
        }
        expectEqual(escrow.held(), 4 * CAP, "held");
    }

    function test_token_withoutCodeIsRefused() public {
        vm.warp(START);
        token = address(0x70ce);
        _deployAll(address(0));
        vm.expectRevert();
        this.post();
    }
}

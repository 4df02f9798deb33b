// SPDX-License-Identifier: MIT
// Posts that somebody else sends for a client.
pragma solidity 0.8.37;

import {Spec} from "../src/Identifiers.sol";
import {IJobEscrow, JobState, PostOrder} from "../src/interfaces/IJobEscrow.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {ContractWallet, PlainToken} from "./Doubles.sol";
import {Orders} from "./Orders.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

contract PostOrderTest is World {
    bytes4 private constant VALID = 0x1626ba7e; // ERC-1271.
    bytes32 private constant SALT = keccak256("salt");

    function _order(address from, uint64 nonce) private view returns (PostOrder memory) {
        return PostOrder(from, nonce, _spec(), SALT, uint64(block.timestamp) + 60);
    }

    function _signed(PostOrder memory order) private view returns (bytes memory) {
        return _sign(CLIENT_KEY, Orders.contentOf(order), address(escrow), block.chainid);
    }

    function _send(PostOrder memory order, bytes memory signature) private returns (bytes32) {
        uint256 value = _value(_capOf(order.spec));
        vm.prank(stranger);
        bytes32 jobId = escrow.postFor{value: value}(order, signature, "");
        _specs[jobId] = order.spec;
        return jobId;
    }

    function _expectBadSignature(PostOrder memory order, bytes memory signature) private {
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.BadSignature.selector, order.client));
        this.send(order, signature);
    }

    function send(PostOrder memory order, bytes memory signature) external returns (bytes32) {
        return _send(order, signature);
    }

    function test_postFor_theClientPaysInTokensAndTheSenderInTheChainsCurrency() public {
        address payer = token == address(0) ? stranger : client;
        uint256 before = _balance(payer);
        PostOrder memory order = _order(client, 3);
        bytes32 jobId = _send(order, _signed(order));
        expectEqual(jobId, escrow.jobIdOf(client, 3), "id");
        expectEqual(_jobOf(jobId).client, client, "client");
        expectEqual(before - _balance(payer), CAP, "paid");
        expectEqual(escrow.held(), CAP, "held");
    }

    function test_postFor_theRefundIsTheClients() public {
        PostOrder memory order = _order(client, 0);
        bytes32 jobId = _send(order, _signed(order));
        vm.prank(client);
        escrow.cancel(jobId, _specs[jobId]);
        expectEqual(escrow.creditOf(client), CAP, "credit");
        expectEqual(escrow.creditOf(stranger), 0, "the sender's credit");
    }

    function test_postFor_onlyWhatTheClientSigned() public {
        PostOrder memory order = _order(client, 0);
        bytes memory signature = _signed(order);
        PostOrder memory other = _order(client, 1);
        _expectBadSignature(other, signature);
        other = _order(otherClient, 0);
        _expectBadSignature(other, signature);
        other = _order(client, 0);
        other.salt = keccak256("other");
        _expectBadSignature(other, signature);
        other = _order(client, 0);
        ++other.expiry;
        _expectBadSignature(other, signature);
        for (uint256 field = 0; field < 9; ++field) {
            other = _order(client, 0);
            if (field == 0) other.spec.modelId = 0;
            if (field == 1) other.spec.samplingHash = 0;
            if (field == 2) other.spec.promptHash = 0;
            if (field == 3) ++other.spec.promptTokens;
            if (field == 4) ++other.spec.maxCompletionTokens;
            if (field == 5) ++other.spec.pricePerPromptToken;
            if (field == 6) ++other.spec.pricePerCompletionToken;
            if (field == 7) ++other.spec.deadline;
            if (field == 8) other.spec.provider = bob.owner;
            _expectBadSignature(other, signature);
        }
        _expectBadSignature(order, "");
        signature[64] = signature[64] == 0x1b ? bytes1(0x1c) : bytes1(0x1b);
        _expectBadSignature(order, signature);
    }

    function test_postFor_anOrderHoldsOnOneChainAndForOneContract() public {
        PostOrder memory order = _order(client, 0);
        bytes32 content = Orders.contentOf(order);
        _expectBadSignature(order, _sign(CLIENT_KEY, content, address(escrow), block.chainid + 1));
        _expectBadSignature(order, _sign(CLIENT_KEY, content, address(rollup), block.chainid));
        bytes memory signature = _signed(order);
        vm.chainId(block.chainid + 1);
        _expectBadSignature(order, signature);
    }

    function test_postFor_anOrderExpires() public {
        PostOrder memory order = _order(client, 0);
        bytes memory signature = _signed(order);
        vm.warp(order.expiry + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.OrderExpired.selector, order.expiry));
        this.send(order, signature);
        vm.warp(order.expiry);
        _send(order, signature);
    }

    function test_postFor_anOrderCanBeRevoked() public {
        PostOrder memory order = _order(client, 0);
        bytes memory signature = _signed(order);
        vm.prank(otherClient);
        escrow.revokeOrder(SALT); // Its own orders alone.
        vm.prank(client);
        escrow.revokeOrder(SALT);
        vm.expectRevert(abi.encodeWithSelector(IJobEscrow.OrderIsRevoked.selector, client, SALT));
        this.send(order, signature);
        vm.recordLogs();
        vm.prank(client);
        escrow.revokeOrder(SALT);
        expectEqual(vm.getRecordedLogs().length, 0, "again: no effect");
    }

    function test_postFor_aReplayHasNoEffectInAnyState() public {
        PostOrder memory order = _order(client, 0);
        bytes memory signature = _signed(order);
        bytes32 jobId = _send(order, signature);
        vm.prank(client);
        escrow.cancel(jobId, _specs[jobId]);
        escrow.withdraw(client);
        vm.warp(order.expiry + 1);
        uint256 before = _balance(client);
        vm.prank(stranger);
        escrow.postFor(order, signature, "");
        expectEqual(_balance(client), before, "balance");
        _expectState(jobId, JobState.Cancelled);
        if (token == address(0)) {
            vm.expectRevert(abi.encodeWithSelector(IVault.WrongValue.selector, 0, CAP));
            this.send(order, signature);
        }
    }

    function test_postFor_aContractMaySign() public {
        address wallet = address(new ContractWallet(client, VALID));
        _fund(wallet);
        PostOrder memory order = _order(wallet, 0);
        bytes32 jobId = _send(order, _signed(order));
        expectEqual(_jobOf(jobId).client, wallet, "client");
        order = _order(wallet, 1);
        _expectBadSignature(order, _sign(0xbad, Orders.contentOf(order), address(escrow), block.chainid));
    }

    function test_postFor_aContractThatAnswersWronglyHasNotSigned() public {
        PostOrder memory order = _order(address(new ContractWallet(client, 0xffffffff)), 0);
        _expectBadSignature(order, _signed(order));
        order = _order(address(models), 0); // No such function.
        _expectBadSignature(order, _signed(order));
    }
}

// SPDX-License-Identifier: MIT
// What holds after any sequence of calls.
pragma solidity 0.8.37;

import {IJobEscrow, Job, JobState} from "../src/interfaces/IJobEscrow.sol";
import {INodeRegistry, Node} from "../src/interfaces/INodeRegistry.sol";
import {Spec} from "../src/Identifiers.sol";
import {Handler} from "./Handler.sol";
import {PlainToken} from "./Doubles.sol";
import {Check} from "./Vm.sol";

contract InvariantTest is Check {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Handler private _handler;
    INodeRegistry private _registry;
    IJobEscrow private _escrow;
    address private _token;

    function setUp() public {
        _handler = new Handler();
        _handler.setUp();
        (_registry, _escrow, _token) = _handler.contracts();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    // Without setUp and what only looks.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[22] memory all = [
            Handler.postJob.selector,
            Handler.postOrder.selector,
            Handler.revokeOrder.selector,
            Handler.assignJob.selector,
            Handler.assignSome.selector,
            Handler.cancelJob.selector,
            Handler.expireJob.selector,
            Handler.slashJob.selector,
            Handler.withdraw.selector,
            Handler.registerNode.selector,
            Handler.addStake.selector,
            Handler.rotate.selector,
            Handler.requestUnstake.selector,
            Handler.unstake.selector,
            Handler.submitRollup.selector,
            Handler.finalizeRollup.selector,
            Handler.claimResult.selector,
            Handler.settleRollup.selector,
            Handler.refute.selector,
            Handler.equivocate.selector,
            Handler.registerModel.selector,
            Handler.waitSome.selector
        ];
        targets = new FuzzSelector[](1);
        bytes4[] memory selectors = new bytes4[](23);
        for (uint256 i = 0; i < 22; ++i) selectors[i] = all[i];
        selectors[22] = Handler.deprecateModel.selector;
        targets[0] = FuzzSelector(address(_handler), selectors);
    }

    function afterInvariant() external {
        _handler.writeCounts();
    }

    // All in one, so that one campaign pays for the set-up.
    function invariant_rules() external view {
        expectEqual(bytes(_handler.wrong()).length, 0, _handler.wrong());
        _escrowOwesWhatItHolds();
        _registryOwesWhatItHolds();
    }

    // balance >= held == caps of open and assigned jobs + credits.
    function _escrowOwesWhatItHolds() private view {
        uint256 owed;
        for (uint256 i = 0; i < _handler.count(); ++i) {
            (Job memory job, Spec memory spec, uint256 paid) = _handler.jobAt(i);
            expectTrue(paid <= 1, "a job pays at most once");
            if (job.state == JobState.Open || job.state == JobState.Assigned) owed += _escrow.capOf(spec);
        }
        owed += _credits(address(_escrow));
        expectEqual(_escrow.held(), owed, "the escrow's sum");
        expectTrue(_balance(address(_escrow)) >= _escrow.held(), "the escrow's balance");
    }

    // balance >= held == stakes + credits; a node's locked stake is the sum of the bonds of its assigned jobs.
    function _registryOwesWhatItHolds() private view {
        uint256 owed;
        for (uint32 id = 1; id <= _handler.nodeCount(); ++id) {
            Node memory node = _registry.nodeOf(id);
            owed += node.stake;
            expectTrue(uint256(node.locked) + node.leaving <= node.stake, "stake is promised once");
            expectTrue((node.leaving == 0) == (node.leavesAt == 0), "what leaves has a time");
            expectEqual(node.locked, _bondsOf(id), "bonds");
        }
        owed += _credits(address(_registry));
        expectEqual(_registry.held(), owed, "the registry's sum");
        expectTrue(_balance(address(_registry)) >= _registry.held(), "the registry's balance");
    }

    function _bondsOf(uint32 node) private view returns (uint256 bonds) {
        for (uint256 i = 0; i < _handler.count(); ++i) {
            (Job memory job, Spec memory spec,) = _handler.jobAt(i);
            if (job.node == node && job.state == JobState.Assigned) bonds += _escrow.bondOf(spec);
        }
    }

    function _credits(address vault) private view returns (uint256 credits) {
        for (uint256 i = 0; i < 16; ++i) {
            try _handler.accounts(i) returns (address account) {
                credits += INodeRegistry(vault).creditOf(account);
            } catch {
                break;
            }
        }
    }

    function _balance(address account) private view returns (uint256) {
        return _token == address(0) ? account.balance : PlainToken(_token).balanceOf(account);
    }
}

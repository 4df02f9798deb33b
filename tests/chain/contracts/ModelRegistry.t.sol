// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Spec} from "../src/Identifiers.sol";
import {JobState} from "../src/interfaces/IJobEscrow.sol";
import {IModelRegistry, Model} from "../src/interfaces/IModelRegistry.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

contract ModelRegistryTest is World {
    bytes32 private constant ID = keccak256("model");

    function _model(uint64 flags) private pure returns (Model memory model) {
        string[] memory cids = new string[](1);
        cids[0] = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
        model = Model(keccak256("sha256"), 0, flags, cids);
    }

    function test_register_keepsTheHashOfTheContentAndEmitsIt() public {
        Model memory model = _model(0);
        bytes32 content = keccak256(abi.encode(model));
        vm.expectEmit(address(models));
        emit IModelRegistry.ModelRegistered(ID, client, content, model);
        vm.prank(client);
        models.register(ID, model);
        expectEqual(models.contentHashOf(client, ID), content, "content");
    }

    function test_register_sameContentAgainHasNoEffect() public {
        vm.startPrank(client);
        models.register(ID, _model(0));
        vm.recordLogs();
        models.register(ID, _model(0));
        expectEqual(vm.getRecordedLogs().length, 0, "events");
    }

    function test_register_contentNeverChanges() public {
        vm.startPrank(client);
        models.register(ID, _model(0));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ContentDiffers.selector, ID, client));
        models.register(ID, _model(1));
        models.deprecate(ID);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ContentDiffers.selector, ID, client));
        models.register(ID, _model(1));
    }

    function test_register_entriesBelongToTheirRegistrants() public {
        vm.prank(client);
        models.register(ID, _model(0));
        vm.prank(otherClient);
        models.register(ID, _model(1));
        expectEqual(models.contentHashOf(client, ID), keccak256(abi.encode(_model(0))), "first");
        expectEqual(models.contentHashOf(otherClient, ID), keccak256(abi.encode(_model(1))), "second");
    }

    function test_register_hasLimits() public {
        vm.expectRevert(IModelRegistry.ZeroModelId.selector);
        models.register(0, _model(0));

        Model memory model = _model(0);
        model.cids = new string[](17);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.TooManyCids.selector, 17));
        models.register(ID, model);
        model.cids = new string[](16);
        model.cids[15] = string(new bytes(129));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.CidTooLong.selector, 15));
        models.register(ID, model);
        model.cids[15] = string(new bytes(128));
        models.register(ID, model);
    }

    function test_deprecate_speaksForItsRegistrantAlone() public {
        vm.prank(client);
        models.register(ID, _model(0));
        vm.prank(otherClient);
        models.register(ID, _model(0));
        vm.prank(client);
        models.deprecate(ID);
        expectTrue(models.isDeprecated(client, ID), "deprecated by the first");
        expectTrue(!models.isDeprecated(otherClient, ID), "not by the second");

        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelNotRegistered.selector, ID, stranger));
        vm.prank(stranger);
        models.deprecate(ID);
    }

    function test_deprecate_againHasNoEffect() public {
        vm.startPrank(client);
        models.register(ID, _model(0));
        models.deprecate(ID);
        vm.recordLogs();
        models.deprecate(ID);
        expectEqual(vm.getRecordedLogs().length, 0, "events");
    }

    function test_deprecate_neverStopsAPost() public {
        vm.startPrank(client);
        models.register(ID, _model(0));
        models.deprecate(ID);
        vm.stopPrank();
        (bytes32 jobId, Spec memory spec) = _post(0);
        expectEqual(spec.modelId, ID, "the deprecated model");
        _expectState(jobId, JobState.Open);
    }

    function testFuzz_register_takesAnyContentOnce(bytes32 id, uint64 flags, uint64 others, bytes32 parent) public {
        vm.assume(id != 0);
        Model memory model = _model(flags);
        Model memory other = _model(others);
        model.parent = other.parent = parent;
        vm.startPrank(client);
        models.register(id, model);
        if (flags != others) {
            vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ContentDiffers.selector, id, client));
        }
        models.register(id, other);
        expectEqual(models.contentHashOf(client, id), keccak256(abi.encode(model)), "content");
    }
}

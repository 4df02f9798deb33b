// SPDX-License-Identifier: MIT
// What each call costs, as a transaction of its own (`--isolate`): 21,000, calldata, cold storage and refunds are in
// it. Each line is written to written/gas.txt; tests/chain/contracts_test.py compares them with gas.json.
pragma solidity 0.8.37;

import {Header, Result, Spec} from "../src/Identifiers.sol";
import {Model} from "../src/interfaces/IModelRegistry.sol";
import {Batches} from "./Batches.sol";
import {vm} from "./Vm.sol";

contract GasReport is Batches {
    function _write(string memory name, uint256 each) private {
        uint256 gas = vm.lastCallGas().gasTotalUsed / each;
        vm.writeLine("written/gas.txt", string.concat(name, " ", vm.toString(gas)));
    }

    // Half a thousand tokens in, a quarter of a thousand out, at 40 and 120 gwei each.
    function _spec() internal view override returns (Spec memory spec) {
        spec = super._spec();
        (spec.promptTokens, spec.maxCompletionTokens) = (512, 256);
        (spec.pricePerPromptToken, spec.pricePerCompletionToken) = (40 gwei, 120 gwei);
    }

    function setUp() public override {
        super.setUp();
        vm.warp(START);
        _deployAll(address(0)); // Without disputes, as long as there are none.
        ann = _join(address(0xe0), 0xe1);
        uint128 bonds = 256 * escrow.bondOf(_spec());
        vm.prank(ann.owner);
        registry.addStake{value: _value(bonds)}(bonds);
    }

    function testGas_models() public {
        string[] memory cids = new string[](1);
        cids[0] = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
        vm.prank(client);
        models.register(keccak256("model"), Model(keccak256("sha256"), 0, 0, cids));
        _write("register a model", 1);
    }

    function testGas_jobs() public {
        (bytes32 jobId,) = _post(0);
        (bytes32 other, Spec memory spec) = _post(1); // held() is not 0 any more.
        _write("post", 1);
        _assign(ann, jobId, spec);
        _write("assign", 1);
        vm.prank(client);
        escrow.cancel(other, _specs[other]);
        _write("cancel", 1);
        escrow.withdraw(client);
        _write("withdraw", 1);
        vm.warp(escrow.expiresAt(_specs[jobId]) + 1);
        escrow.expire(jobId, _specs[jobId]);
        _write("expire an assigned job", 1);
    }

    function testGas_rollups() public {
        Result[] memory results = _some(3);
        _submit(ann, results);
        _write("record the first rollup", 1);
        _submit(ann, results);
        _write("record a rollup", 1);
        Header memory header = _header(ann, results);
        bytes memory signature = _signHeader(ann.key, header);
        vm.prank(stranger);
        rollup.submit(header, signature);
        _write("record a signed rollup", 1);
        rollup.submit(header, signature);
        _write("record it again", 1);
        _submit(ann, _some(256));
        _write("record 256 jobs, each", 256);
    }

    function _some(uint64 count) private view returns (Result[] memory results) {
        results = new Result[](count);
        for (uint64 i = 0; i < count; ++i) results[i] = _result(i, keccak256(abi.encode(i)), _spec());
    }

    function testGas_claim() public {
        (Header memory header, Result[] memory results) = _batch(4);
        for (uint256 i = 0; i < 2; ++i) {
            bytes32[] memory proof = _proof(results, i);
            rollup.claim(header, results[i], proof);
            _write(i == 0 ? "claim the first of a rollup" : "claim one of 4", 1);
        }
    }

    function testGas_settle256() public {
        (Header memory header, Result[] memory results) = _batch(256);
        (Result[] memory picked, bytes32[] memory proof, bool[] memory flags) = _pick(results, type(uint256).max);
        uint256 settled = rollup.settleMany(header, picked, proof, flags);
        _write("settle 256 jobs in one call, each", 256);
        expectEqual(settled, 256, "settled");
    }

    function testGas_settle16() public {
        (Header memory header, Result[] memory results) = _batch(64);
        (Result[] memory picked, bytes32[] memory proof, bool[] memory flags) = _pick(results, 0xffff);
        rollup.settleMany(header, picked, proof, flags);
        _write("settle 16 of 64 jobs in one call, each", 16);
    }

    function testGas_settle256OfTwoClients() public {
        Result[] memory results = new Result[](256);
        for (uint64 i = 0; i < 256; ++i) {
            Spec memory spec = _spec();
            bytes32 jobId = _postAs(i % 2 == 0 ? client : otherClient, i, spec);
            _assign(ann, jobId, spec);
            results[i] = _result(i, jobId, spec);
        }
        Header memory header = _submit(ann, results);
        vm.warp(START + WINDOW);
        (Result[] memory picked, bytes32[] memory proof, bool[] memory flags) = _pick(results, type(uint256).max);
        rollup.settleMany(header, picked, proof, flags);
        _write("settle 256 jobs of two clients, each", 256);
    }
}

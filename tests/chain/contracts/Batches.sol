// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Header, Result, Spec} from "../src/Identifiers.sol";
import {StandardMerkleTree} from "./StandardMerkleTree.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

// Batches of Ann's results with their multiproofs.
abstract contract Batches is World {
    using StandardMerkleTree for StandardMerkleTree.Tree;

    // A rollup of Ann's with so many jobs of `client`, its window over.
    function _batch(uint64 count) internal returns (Header memory header, Result[] memory results) {
        results = new Result[](count);
        for (uint64 i = 0; i < count; ++i) {
            (bytes32 jobId, Spec memory spec) = _assigned(i);
            results[i] = _result(i, jobId, spec);
        }
        header = _submit(ann, results);
        vm.warp(START + WINDOW);
    }

    // Settles those of `results` whose bit is set in `chosen`.
    function _settle(Header memory header, Result[] memory results, uint256 chosen) internal returns (uint256) {
        (Result[] memory picked, bytes32[] memory proof, bool[] memory flags) = _pick(results, chosen);
        return rollup.settleMany(header, picked, proof, flags);
    }

    function _pick(Result[] memory results, uint256 chosen)
        internal
        pure
        returns (Result[] memory picked, bytes32[] memory proof, bool[] memory flags)
    {
        StandardMerkleTree.Tree memory tree = _tree(results);
        uint256 count;
        for (uint256 i = 0; i < results.length; ++i) count += (chosen >> i) & 1;
        picked = new Result[](count);
        uint256[] memory places = new uint256[](count);
        uint256 next;
        // From the last place down, as a multiproof wants them.
        for (uint256 k = 0; k < results.length; ++k) {
            uint256 place = tree.nodes.length - 1 - k;
            for (uint256 i = 0; i < results.length; ++i) {
                if ((chosen >> i) & 1 == 0 || tree.leaves[i] != tree.nodes[place]) continue;
                picked[next] = results[i];
                places[next++] = place;
            }
        }
        (proof, flags) = tree.multiproof(places);
    }
}

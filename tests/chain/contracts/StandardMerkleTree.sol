// SPDX-License-Identifier: MIT
// The tree of npm @openzeppelin/merkle-tree 1.0.8 over leaf hashes, with its proofs and multiproofs. For tests.
pragma solidity 0.8.37;

library StandardMerkleTree {
    struct Tree {
        bytes32[] nodes; // The root first; the sorted leaves last and in reverse.
        bytes32[] leaves; // As given.
    }

    function make(bytes32[] memory leaves) internal pure returns (Tree memory tree) {
        uint256 count = leaves.length;
        bytes32[] memory nodes = new bytes32[](2 * count - 1);
        bytes32[] memory sorted = sort(leaves);
        for (uint256 i = 0; i < count; ++i) nodes[nodes.length - 1 - i] = sorted[i];
        for (uint256 i = count - 1; i > 0; --i) nodes[i - 1] = pair(nodes[2 * i - 1], nodes[2 * i]);
        return Tree(nodes, leaves);
    }

    function root(Tree memory tree) internal pure returns (bytes32) {
        return tree.nodes[0];
    }

    function proofOf(Tree memory tree, bytes32 leaf) internal pure returns (bytes32[] memory proof) {
        uint256 place = placeOf(tree, leaf);
        bytes32[] memory long = new bytes32[](64);
        uint256 length;
        for (; place > 0; place = (place - 1) / 2) long[length++] = tree.nodes[sibling(place)];
        proof = new bytes32[](length);
        for (uint256 i = 0; i < length; ++i) proof[i] = long[i];
    }

    // `places` of the leaves in descending order, which is the order in which the leaves are given to the verifier.
    function multiproof(Tree memory tree, uint256[] memory places)
        internal
        pure
        returns (bytes32[] memory proof, bool[] memory flags)
    {
        uint256[] memory queue = new uint256[](tree.nodes.length + places.length);
        uint256 end = places.length;
        for (uint256 i = 0; i < end; ++i) queue[i] = places[i];
        bytes32[] memory longProof = new bytes32[](tree.nodes.length);
        if (end == 0) longProof[0] = tree.nodes[0];
        bool[] memory longFlags = new bool[](tree.nodes.length);
        uint256 proofLength = end == 0 ? 1 : 0;
        uint256 flagsLength;
        for (uint256 begin = 0; begin < end && queue[begin] > 0;) {
            uint256 place = queue[begin++];
            if (begin < end && queue[begin] == sibling(place)) {
                longFlags[flagsLength++] = true;
                ++begin;
            } else {
                longFlags[flagsLength++] = false;
                longProof[proofLength++] = tree.nodes[sibling(place)];
            }
            queue[end++] = (place - 1) / 2;
        }
        proof = new bytes32[](proofLength);
        for (uint256 i = 0; i < proofLength; ++i) proof[i] = longProof[i];
        flags = new bool[](flagsLength);
        for (uint256 i = 0; i < flagsLength; ++i) flags[i] = longFlags[i];
    }

    function placeOf(Tree memory tree, bytes32 leaf) internal pure returns (uint256) {
        for (uint256 i = tree.leaves.length - 1; i < tree.nodes.length; ++i) {
            if (tree.nodes[i] == leaf) return i;
        }
        revert("no such leaf");
    }

    function sibling(uint256 place) private pure returns (uint256) {
        return place % 2 == 1 ? place + 1 : place - 1;
    }

    function pair(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }

    // Merges runs of 1, 2, 4, ... leaves.
    function sort(bytes32[] memory leaves) private pure returns (bytes32[] memory sorted) {
        uint256 count = leaves.length;
        sorted = new bytes32[](count);
        bytes32[] memory next = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) sorted[i] = leaves[i];
        for (uint256 run = 1; run < count; run *= 2) {
            for (uint256 from = 0; from < count; from += 2 * run) merge(sorted, next, from, run);
            (sorted, next) = (next, sorted);
        }
    }

    // The runs from `from` and from `from + run` on, each of at most `run` leaves.
    function merge(bytes32[] memory runs, bytes32[] memory merged, uint256 from, uint256 run) private pure {
        uint256 middle = from + run < runs.length ? from + run : runs.length;
        uint256 end = middle + run < runs.length ? middle + run : runs.length;
        uint256 left = from;
        uint256 right = middle;
        for (uint256 i = from; i < end; ++i) {
            bool takesLeft = left < middle && (right == end || runs[left] <= runs[right]);
            merged[i] = takesLeft ? runs[left++] : runs[right++];
        }
    }
}

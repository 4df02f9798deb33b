// SPDX-License-Identifier: MIT
// All that the rollup asks of a dispute contract. A game that the challenger lost leaves the leaf at None: another
// challenger may try.
pragma solidity 0.8.37;

enum LeafStatus {
    None,
    Open,
    Refuted
}

interface IDisputeGame {
    // A game is opened only while the window of the leaf's rollup is open and lasts at most this many seconds.
    function longestGame() external view returns (uint64);
    // `challenger` is who refuted it, 0 otherwise.
    function statusOf(bytes32 headerHash, bytes32 leafHash)
        external
        view
        returns (LeafStatus status, address challenger);
}

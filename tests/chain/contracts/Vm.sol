// SPDX-License-Identifier: MIT
// What these tests use of Foundry's cheat codes, and of a test framework.
pragma solidity 0.8.37;

struct Wallet {
    address addr;
    uint256 publicKeyX;
    uint256 publicKeyY;
    uint256 privateKey;
}

struct Gas {
    uint64 gasLimit;
    uint64 gasTotalUsed;
    uint64 gasMemoryUsed;
    int64 gasRefunded;
    uint64 gasRemaining;
}

struct Log {
    bytes32[] topics;
    bytes data;
    address emitter;
}

interface Vm {
    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function warp(uint256 timestamp) external;
    function chainId(uint256 id) external;
    function deal(address account, uint256 balance) external;
    function etch(address account, bytes calldata code) external;
    function store(address account, bytes32 slot, bytes32 value) external;
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function expectRevert() external;
    function expectRevert(bytes calldata reason) external;
    function expectRevert(bytes4 selector) external;
    function expectEmit(address emitter) external;
    function assume(bool condition) external pure;
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function getNonce(address account) external view returns (uint64);
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function lastCallGas() external view returns (Gas memory);
    function envString(string calldata name) external view returns (string memory);
    function envOr(string calldata name, string calldata otherwise) external view returns (string memory);
    function readFile(string calldata path) external view returns (string memory);
    function writeLine(string calldata path, string calldata line) external;
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32);
    function parseJsonBytes32Array(string calldata json, string calldata key) external pure returns (bytes32[] memory);
    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);
    function parseJsonUintArray(string calldata json, string calldata key) external pure returns (uint256[] memory);
    function parseJsonAddress(string calldata json, string calldata key) external pure returns (address);
    function toString(uint256 value) external pure returns (string memory);
    function toString(bytes32 value) external pure returns (string memory);
    function snapshotState() external returns (uint256);
    function revertToState(uint256 id) external returns (bool);
}

Vm constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

abstract contract Check {
    error NotEqual(string what, bytes32 given, bytes32 expected);
    error NotTrue(string what);

    function expectEqual(uint256 given, uint256 expected, string memory what) internal pure {
        if (given != expected) revert NotEqual(what, bytes32(given), bytes32(expected));
    }

    function expectEqual(bytes32 given, bytes32 expected, string memory what) internal pure {
        if (given != expected) revert NotEqual(what, given, expected);
    }

    function expectEqual(address given, address expected, string memory what) internal pure {
        expectEqual(uint256(uint160(given)), uint256(uint160(expected)), what);
    }

    function expectTrue(bool condition, string memory what) internal pure {
        if (!condition) revert NotTrue(what);
    }
}

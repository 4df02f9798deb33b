// SPDX-License-Identifier: MIT
// Tokens, wallets and dispute contracts, good and bad, that the tests put in place of real ones.
pragma solidity 0.8.37;

import {IDisputeGame, LeafStatus} from "../src/interfaces/IDisputeGame.sol";
import {vm} from "./Vm.sol";

contract PlainToken {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external virtual returns (bool) {
        return _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external virtual returns (bool) {
        allowance[from][msg.sender] -= amount;
        return _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) internal virtual returns (bool) {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}

// Keeps one part in a hundred of every transfer.
contract FeeToken is PlainToken {
    function _move(address from, address to, uint256 amount) internal override returns (bool) {
        balanceOf[from] -= amount;
        balanceOf[to] += amount - amount / 100;
        return true;
    }
}

// Says that it paid, and did not.
contract LyingToken is PlainToken {
    function _move(address, address, uint256) internal pure override returns (bool) {
        return true;
    }
}

// Answers false instead of reverting.
contract FalseToken is PlainToken {
    function _move(address, address, uint256) internal pure override returns (bool) {
        return false;
    }
}

// Takes twice the amount from the sender.
contract GreedyToken is PlainToken {
    bool public greedy;

    function setGreedy(bool on) external {
        greedy = on;
    }

    function _move(address from, address to, uint256 amount) internal override returns (bool) {
        balanceOf[from] -= greedy ? 2 * amount : amount;
        balanceOf[to] += amount;
        return true;
    }
}

// Returns nothing, as some old tokens do.
contract SilentToken {
    mapping(address => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

// Calls somebody in the middle of a transfer, as tokens with hooks do.
contract CallingToken is PlainToken {
    address public target;
    bytes public data;
    bool public succeeded;
    bytes public answer;

    function callOnMove(address target_, bytes calldata data_) external {
        target = target_;
        data = data_;
    }

    function _move(address from, address to, uint256 amount) internal override returns (bool) {
        if (target != address(0)) (succeeded, answer) = target.call(data);
        return super._move(from, to, amount);
    }
}

// A contract that is paid and calls back.
contract CallingReceiver {
    address public target;
    bytes public data;
    bool public succeeded;
    bytes public answer;

    function run(address to, uint256 value, bytes calldata call) external returns (bytes memory) {
        (bool ok, bytes memory result) = to.call{value: value}(call);
        require(ok, "call failed");
        return result;
    }

    function callOnPayment(address target_, bytes calldata data_) external {
        target = target_;
        data = data_;
    }

    receive() external payable {
        if (target != address(0)) (succeeded, answer) = target.call(data);
    }
}

// A client that cannot be paid.
contract Unpayable {
    function run(address to, uint256 value, bytes calldata call) external payable {
        (bool ok,) = to.call{value: value}(call);
        require(ok, "call failed");
    }
}

// A wallet with one key (ERC-1271), or one that answers wrongly.
contract ContractWallet {
    address private immutable _owner;
    bytes4 private immutable _answer;

    constructor(address owner, bytes4 answer) {
        _owner = owner;
        _answer = answer;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        (bytes32 r, bytes32 s, uint8 v) =
            (bytes32(signature[:32]), bytes32(signature[32:64]), uint8(signature[64]));
        return ecrecover(digest, v, r, s) == _owner ? _answer : bytes4(0);
    }
}

contract RevertingWallet {
    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        revert("no");
    }
}

contract BurningWallet {
    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        while (gasleft() != 0) {}
        return 0x1626ba7e;
    }
}

// A wrong answer of a hundred thousand bytes.
contract ChattyWallet {
    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        assembly {
            return(0, 100000)
        }
    }
}

contract ScriptedGame is IDisputeGame {
    uint64 public longestGame;
    mapping(bytes32 leaf => LeafStatus) private _status;
    address private _challenger;

    constructor(uint64 longestGame_) {
        longestGame = longestGame_;
    }

    function set(bytes32 leaf, LeafStatus status, address challenger) external {
        _status[leaf] = status;
        _challenger = challenger;
    }

    function statusOf(bytes32, bytes32 leaf) external view returns (LeafStatus, address) {
        return (_status[leaf], _challenger);
    }
}

// SPDX-License-Identifier: MIT
// Takes and pays one currency. What is owed is counted here and not read from the balance: a deposit counts when the
// balance has grown by exactly its amount, and what anyone sends without being asked belongs to nobody.
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IVault} from "./interfaces/IVault.sol";

abstract contract Vault is IVault, ReentrancyGuardTransient {
    address public immutable token;
    uint256 public held;
    mapping(address account => uint256) public creditOf;

    constructor(address token_) {
        token = token_;
    }

    function withdraw(address account) external nonReentrant returns (uint256 amount) {
        return _withdraw(account, account);
    }

    function withdrawTo(address to) external nonReentrant returns (uint256 amount) {
        if (to == address(0)) revert ZeroAddress();
        return _withdraw(msg.sender, to);
    }

    // Takes exactly `amount`, from the value of the call or from `from`'s tokens. Last in its function: a token may
    // call back.
    function _take(address from, uint256 amount) internal {
        held += amount;
        uint256 value = token == address(0) ? amount : 0;
        if (msg.value != value) revert WrongValue(value, msg.value);
        if (token == address(0) || amount == 0) return;

        uint256 before = IERC20(token).balanceOf(address(this));
        SafeERC20.safeTransferFrom(IERC20(token), from, address(this), amount);
        _requireMoved(before, IERC20(token).balanceOf(address(this)), amount);
    }

    function _credit(address account, uint256 amount) internal {
        if (amount != 0) creditOf[account] += amount;
    }

    function _withdraw(address account, address to) private returns (uint256 amount) {
        amount = creditOf[account];
        if (amount == 0) revert NothingToWithdraw(account);
        creditOf[account] = 0;
        held -= amount;
        emit Withdrawn(account, to, amount);

        if (token == address(0)) {
            // What the receiver answers is not read: it could be long.
            if (!LowLevelCall.callNoReturn(to, amount, "")) revert SendFailed(to, amount);
            return amount;
        }
        uint256 before = IERC20(token).balanceOf(address(this));
        SafeERC20.safeTransfer(IERC20(token), to, amount);
        _requireMoved(IERC20(token).balanceOf(address(this)), before, amount);
    }

    function _requireMoved(uint256 smaller, uint256 larger, uint256 amount) private pure {
        uint256 moved = larger > smaller ? larger - smaller : 0;
        if (moved != amount) revert WrongTransfer(amount, moved);
    }
}

// SPDX-License-Identifier: MIT
// What JobEscrow and NodeRegistry have in common: one currency, a sum of all that is owed, and credits that their
// owners fetch. A payment that is due becomes a credit; nothing is ever sent to an address that did not ask, or was
// not asked for.
pragma solidity 0.8.37;

interface IVault {
    event Withdrawn(address indexed account, address indexed to, uint256 amount);

    // The native value that came along is not what the call takes.
    error WrongValue(uint256 expected, uint256 given);
    // The balance changed by something else than the amount: the token keeps a fee, or lies.
    error WrongTransfer(uint256 expected, uint256 moved);
    error NothingToWithdraw(address account);
    error SendFailed(address to, uint256 amount);
    error ZeroAddress();

    // The ERC-20 token that this contract takes and pays; 0: the chain's own currency.
    function token() external view returns (address);
    // All that is owed: never more than the balance.
    function held() external view returns (uint256);
    function creditOf(address account) external view returns (uint256);

    // Pays an account's whole credit to that account. Anyone may call it.
    function withdraw(address account) external returns (uint256 amount);
    // Pays the caller's whole credit to another address, for callers that cannot be paid themselves.
    function withdrawTo(address to) external returns (uint256 amount);
}

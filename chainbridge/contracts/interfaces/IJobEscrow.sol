// SPDX-License-Identifier: MIT
// Jobs and their money. `post` takes exactly the cap; the provider's price and the client's rest become credits.
//
//   None -> Open -> Assigned -> Final        claimed through the rollup
//             |        |------> Slashed      the provider equivocated, or the leaf was refuted
//             |        '------> Expired      by time
//             |---------------> Expired      by time
//             '---------------> Cancelled    by the client
pragma solidity 0.8.37;

import {IVault} from "./IVault.sol";
import {Spec} from "../Identifiers.sol";

enum JobState {
    None,
    Open,
    Assigned,
    Final,
    Cancelled,
    Expired,
    Slashed
}

// What the contract keeps, in one word, under the job's id and its spec hash; the terms are in the hash, and whoever
// calls opens it.
struct Job {
    address client;
    uint40 assignedAt;
    JobState state; // None: no job of this id on these terms.
    uint32 node; // Who has it; 0 before it is assigned.
}

// A post that someone else sends: EIP-712 type
//   PostOrder(address client,uint64 clientNonce,Spec spec,bytes32 salt,uint64 expiry)Spec(bytes32 modelId,
//   bytes32 samplingHash,bytes32 promptHash,uint32 promptTokens,uint32 maxCompletionTokens,uint64 pricePerPromptToken,
//   uint64 pricePerCompletionToken,uint64 deadline,address provider)
// (without the line breaks). An ERC-20 cap is taken from the client, a native one from the sender.
struct PostOrder {
    address client;
    uint64 clientNonce;
    Spec spec;
    bytes32 salt;
    uint64 expiry; // Unix seconds; the last second at which the order holds.
}

struct EscrowTerms {
    uint64 longestDeadline; // Seconds from a post.
    uint64 window; // Seconds from the record of a rollup to its claims; time for audits.
    uint64 claimPeriod; // Seconds that are left for claims when the last window is over.
    uint16 bondBasisPoints; // Of the cap.
    uint128 minimumBond;
}

// One leaf that the rollup has proven, with what follows from the terms behind its spec hash.
struct Settlement {
    bytes32 jobId;
    bytes32 specHash;
    bytes32 resultHash;
    uint128 cap;
    uint128 price;
    uint64 deadline;
}

interface IJobEscrow is IVault {
    event JobPosted(
        bytes32 indexed jobId,
        address indexed client,
        bytes32 indexed modelId,
        bytes32 specHash,
        uint64 clientNonce,
        uint256 cap,
        Spec spec,
        bytes prompt
    );
    event JobAssigned(
        bytes32 indexed jobId,
        address indexed provider,
        uint32 indexed node,
        bytes32 specHash,
        uint64 attempt,
        uint256 bond
    );
    // The provider has the price, the client the rest of the cap.
    event JobFinal(bytes32 indexed jobId, bytes32 resultHash, uint256 price);
    event JobCancelled(bytes32 indexed jobId, uint256 refund);
    event JobExpired(bytes32 indexed jobId, uint256 refund, uint256 bond);
    event JobSlashed(bytes32 indexed jobId, address indexed challenger, uint256 refund, uint256 bond);
    event OrderRevoked(address indexed client, bytes32 indexed salt);

    error OtherTerms(bytes32 jobId, bytes32 given);
    error DeadlineOutOfRange(uint64 deadline, uint64 earliest, uint64 latest);
    error PromptTooLong(uint256 given, uint256 most);
    error OrderExpired(uint64 expiry);
    error OrderIsRevoked(address client, bytes32 salt);
    error BadSignature(address client);
    error WrongState(bytes32 jobId, JobState state);
    error NotTheClient(bytes32 jobId, address caller);
    error NotAnOperator(address caller);
    error NotTheProvider(bytes32 jobId, address operator);
    error TooLate(bytes32 jobId, uint64 deadline);
    error TooEarly(bytes32 jobId, uint64 notBefore);
    error RecordedOutOfTime(bytes32 jobId, uint64 assignedAt, uint64 deadline, uint64 recordedAt);
    error NotBanned(bytes32 jobId, uint32 node);
    error NotTheRollup(address caller);
    error TermsOutOfRange();

    // Takes exactly the cap, promptTokens * a + maxCompletionTokens * b. The same id and terms again: no effect, and
    // the value must be 0; other terms: reverts. `prompt` (at most 4 KiB) is for the event alone; who reads it checks
    // its hash.
    function post(Spec calldata spec, uint64 clientNonce, bytes calldata prompt)
        external
        payable
        returns (bytes32 jobId);
    function postFor(PostOrder calldata order, bytes calldata signature, bytes calldata prompt)
        external
        payable
        returns (bytes32 jobId);
    // Orders of the caller with this salt can no longer be posted.
    function revokeOrder(bytes32 salt) external;

    // From here on `spec` is what the job was posted on; on any other there is no job: its state is None.
    //
    // The caller's node (the caller is its operator key) takes the job on exactly these terms; its bond is locked.
    function assign(bytes32 jobId, Spec calldata spec) external;
    // The client takes an open job back.
    function cancel(bytes32 jobId, Spec calldata spec) external;
    // After deadline + window + claim period, by anyone. The bond of an assigned job goes to the client.
    function expire(bytes32 jobId, Spec calldata spec) external;
    // A job whose provider has been banned, by anyone: cap and bond go to the client.
    function slash(bytes32 jobId, Spec calldata spec) external;

    // Called by the rollup. A job that is not (or no longer) assigned is skipped; whatever else is wrong reverts.
    function settle(address operator, uint32 node, uint64 recordedAt, Settlement[] calldata settlements)
        external
        returns (bool[] memory paid);
    // Called by the rollup for a leaf that was refuted: the cap goes to the client, the bond to client and challenger.
    function slashRefuted(bytes32 jobId, Spec calldata spec, address operator, uint32 node, address challenger)
        external;

    function registry() external view returns (address);
    function rollup() external view returns (address);
    // As in EscrowTerms.
    function longestDeadline() external view returns (uint64);
    function window() external view returns (uint64);
    function claimPeriod() external view returns (uint64);
    function bondBasisPoints() external view returns (uint16);
    function minimumBond() external view returns (uint128);

    function jobIdOf(address client, uint64 clientNonce) external view returns (bytes32);
    function specHashOf(Spec calldata spec) external pure returns (bytes32);
    function jobOf(bytes32 jobId, bytes32 specHash) external view returns (Job memory);
    function isNonceUsed(address client, uint64 clientNonce) external view returns (bool);
    // What a job on these terms costs at most, and what its provider locks for it.
    function capOf(Spec calldata spec) external pure returns (uint128);
    function bondOf(Spec calldata spec) external view returns (uint128);
    // The last second before anyone may expire it.
    function expiresAt(Spec calldata spec) external view returns (uint64);
    function isRevoked(address client, bytes32 salt) external view returns (bool);
}

// SPDX-License-Identifier: MIT
// The contracts against vectors/contracts.json, which C++ and Python are held against, too.
pragma solidity 0.8.37;

import {Header, Identifiers, Result, Spec} from "../src/Identifiers.sol";
import {Hashes} from "./Hashes.sol";
import {StandardMerkleTree} from "./StandardMerkleTree.sol";
import {Check, vm} from "./Vm.sol";

contract VectorsTest is Check {
    string private _json;

    function setUp() public {
        _json = vm.readFile("vectors/contracts.json");
        vm.chainId(_uint(".chain_id"));
    }

    function _at(string memory list, uint256 i, string memory field) private pure returns (string memory) {
        return string.concat(".", list, "[", vm.toString(i), "].", field);
    }

    function _uint(string memory key) private view returns (uint256) {
        return vm.parseJsonUint(_json, key);
    }

    function _word(string memory key) private view returns (bytes32) {
        return vm.parseJsonBytes32(_json, key);
    }

    function _address(string memory key) private view returns (address) {
        return address(uint160(uint256(_word(key))));
    }

    function _spec(uint256 i) private view returns (Spec memory) {
        return Spec({
            modelId: _word(_at("specs", i, "model_id")),
            samplingHash: _word(_at("specs", i, "sampling_hash")),
            promptHash: _word(_at("specs", i, "prompt_hash")),
            promptTokens: uint32(_uint(_at("specs", i, "prompt_tokens"))),
            maxCompletionTokens: uint32(_uint(_at("specs", i, "max_completion_tokens"))),
            pricePerPromptToken: uint64(_uint(_at("specs", i, "price_per_prompt_token"))),
            pricePerCompletionToken: uint64(_uint(_at("specs", i, "price_per_completion_token"))),
            deadline: uint64(_uint(_at("specs", i, "deadline"))),
            provider: _address(_at("specs", i, "provider"))
        });
    }

    function _result(uint256 i) private view returns (Result memory) {
        return Result({
            index: uint64(_uint(_at("results", i, "index"))),
            jobId: _word(_at("results", i, "job_id")),
            traceRoot: _word(_at("results", i, "trace_root")),
            tokensHash: _word(_at("results", i, "tokens_hash")),
            completionTokens: uint32(_uint(_at("results", i, "completion_tokens"))),
            finishReason: uint8(_uint(_at("results", i, "finish_reason"))),
            price: uint128(_uint(_at("results", i, "price"))),
            completedAt: uint64(_uint(_at("results", i, "completed_at"))),
            spec: _spec(0)
        });
    }

    // The contracts' own take calldata.
    function specHash(Spec calldata spec) external pure returns (bytes32) {
        return Identifiers.specHash(spec);
    }

    function hashes(Result calldata result, bytes32 spec) external pure returns (bytes32 resultHash, bytes32 leaf) {
        return Identifiers.hashesOf(result, spec);
    }

    function headerHash(address rollup, Header calldata header) external view returns (bytes32) {
        return Identifiers.headerHash(rollup, header);
    }

    function test_specHash_equalsTheVectors() public view {
        for (uint256 i = 0; i < 3; ++i) {
            bytes32 expected = _word(_at("specs", i, "spec_hash"));
            expectEqual(this.specHash(_spec(i)), expected, "spec hash");
            expectEqual(Hashes.specHash(_spec(i)), expected, "spec hash of the tests");
        }
    }

    function test_jobId_equalsTheVectors() public view {
        for (uint256 i = 0; i < 3; ++i) {
            bytes32 jobId = Identifiers.jobId(
                _address(_at("jobs", i, "contract")),
                _address(_at("jobs", i, "client")),
                uint64(_uint(_at("jobs", i, "client_nonce")))
            );
            expectEqual(jobId, _word(_at("jobs", i, "job_id")), "job id");
        }
    }

    function test_resultHashAndLeaf_equalTheVectors() public view {
        for (uint256 i = 0; i < 3; ++i) {
            Result memory result = _result(i);
            bytes32 spec = _word(_at("results", i, "spec_hash"));
            (bytes32 resultHash, bytes32 leaf) = this.hashes(result, spec);
            expectEqual(resultHash, _word(_at("results", i, "result_hash")), "result hash");
            expectEqual(leaf, _word(_at("results", i, "leaf")), "leaf");
            expectEqual(Hashes.leafHash(result, spec, Hashes.resultHash(result, spec)), leaf, "leaf of the tests");
        }
    }

    function test_headerHash_equalsTheVectors() public view {
        for (uint256 i = 0; i < 3; ++i) {
            Header memory header = Header({
                operator: _address(_at("headers", i, "operator")),
                sequence: uint64(_uint(_at("headers", i, "sequence"))),
                previous: _word(_at("headers", i, "previous")),
                root: _word(_at("headers", i, "root")),
                count: uint64(_uint(_at("headers", i, "count"))),
                dataCommitment: _word(_at("headers", i, "data_commitment"))
            });
            address rollup = _address(_at("headers", i, "contract"));
            bytes32 expected = _word(_at("headers", i, "header_hash"));
            expectEqual(this.headerHash(rollup, header), expected, "header hash");
            expectEqual(Hashes.headerHash(rollup, header), expected, "header hash of the tests");
        }
    }

    // 1, 2, 3, 255, 256 and 100,000 leaves: the last leaf's proof leads to the root.
    function test_proofs_leadToTheRootsOfTheVectors() public view {
        for (uint256 i = 0; i < 6; ++i) {
            bytes32 node = _word(_at("rollups", i, "leaf"));
            bytes32[] memory proof = vm.parseJsonBytes32Array(_json, _at("rollups", i, "proof"));
            for (uint256 k = 0; k < proof.length; ++k) {
                node = node < proof[k] ? keccak256(abi.encode(node, proof[k])) : keccak256(abi.encode(proof[k], node));
            }
            expectEqual(node, _word(_at("rollups", i, "root")), "root");
        }
    }

    function test_roots_equalTheVectors() public view {
        for (uint256 i = 0; i < 5; ++i) _expectRoot(i);
    }

    // 100,000 leaves: `make test-long` alone.
    function testLong_roots_ofALargeRollup() public view {
        _expectRoot(5);
    }

    function _expectRoot(uint256 i) private view {
        bytes32[] memory leaves = new bytes32[](_uint(_at("rollups", i, "count")));
        for (uint256 k = 0; k < leaves.length; ++k) leaves[k] = _leafOfDesign(k);
        expectEqual(StandardMerkleTree.make(leaves).nodes[0], _word(_at("rollups", i, "root")), "root");
    }

    function _leafOfDesign(uint256 i) private pure returns (bytes32) {
        string memory number = vm.toString(i);
        Spec memory none; // What the spec hash stands for is not needed.
        Result memory result = Result({
            index: uint64(i),
            jobId: keccak256(bytes(string.concat("job-", number))),
            traceRoot: keccak256(bytes(string.concat("trace-", number))),
            tokensHash: keccak256(bytes(string.concat("tokens-", number))),
            completionTokens: uint32(i % 1000),
            finishReason: uint8(i % 2),
            price: uint128(1000 + i),
            completedAt: uint64(1_700_000_000 + i),
            spec: none
        });
        bytes32 spec = keccak256(bytes(string.concat("spec-", number)));
        return Hashes.leafHash(result, spec, Hashes.resultHash(result, spec));
    }

    // The golden vector of the chain design, whose result hashes open nothing.
    function test_golden_theRootOfTheDesign() public view {
        bytes32[] memory leaves = new bytes32[](3);
        for (uint256 i = 0; i < 3; ++i) {
            string memory number = vm.toString(i);
            Result memory result;
            result.index = uint64(i);
            result.jobId = keccak256(bytes(string.concat("job-", number)));
            bytes32 spec = keccak256(bytes(string.concat("spec-", number)));
            result.traceRoot = keccak256(bytes(string.concat("trace-", number)));
            result.price = uint128(1000 + i);
            result.completedAt = uint64(1_700_000_000 + i);
            leaves[i] = Hashes.leafHash(result, spec, keccak256(bytes(string.concat("result-", number))));
        }
        bytes32 root = StandardMerkleTree.make(leaves).nodes[0];
        expectEqual(root, 0x69a57c625de3bf7af0c4a6512a6cd0c353524d7fd471b48c69168a865658ae5a, "golden root");
        expectEqual(root, _word(".golden_root"), "golden root of the file");
    }
}

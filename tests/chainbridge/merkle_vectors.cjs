// Merkle trees, headers and receipts by the npm packages: what ours must equal.
//
//   node merkle_vectors.cjs NODE_MODULES golden         roots of the design's leaves, counts 1 to 70, a header, a ledger id
//   node merkle_vectors.cjs NODE_MODULES random N SEED  counts 1 to 70 and N random trees, with every node and proof
//   node merkle_vectors.cjs NODE_MODULES rollups N...   the rollups of tests/chain/vectors.py of N leaves
'use strict';

const path = require('path');
const { createRequire } = require('module');

const packages = createRequire(path.join(path.resolve(process.argv[2]), 'resolve.js'));
const { StandardMerkleTree } = packages('@openzeppelin/merkle-tree');
const { keccak256 } = packages('ethereum-cryptography/keccak');
const { utf8ToBytes, bytesToHex } = packages('ethereum-cryptography/utils');
const { encode } = packages('@metamask/abi-utils');

const LEAF_TYPES = ['uint8', 'uint256', 'bytes32', 'bytes32', 'bytes32', 'bytes32', 'uint128', 'uint64'];
const MAX_COUNT = 70;

const hex = (bytes) => '0x' + bytesToHex(bytes);
const hash = (text) => hex(keccak256(utf8ToBytes(text)));
const quantity = (value) => '0x' + value.toString(16);

// H(tag, fields...) of the chain design: [type, value] pairs, static words only.
function H(tag, ...fields) {
  const types = ['bytes32', ...fields.map(([type]) => type)];
  const values = [hash(`lockstep.${tag}.v1`), ...fields.map(([, value]) => value)];
  return hex(keccak256(encode(types, values)));
}

function orderedTreeRoot(leaves) {
  let level = [...leaves];
  while (level.length & (level.length - 1)) level.push('0x' + '0'.repeat(64));
  while (level.length > 1) {
    const up = [];
    for (let i = 0; i < level.length; i += 2) {
      up.push(H('node', ['bytes32', level[i]], ['bytes32', level[i + 1]]));
    }
    level = up;
  }
  return H('tree', ['uint256', BigInt(leaves.length)], ['bytes32', level[0]]);
}

function designLeaf(i) {
  const hashes = ['job', 'spec', 'result', 'trace'].map((name) => hash(`${name}-${i}`));
  return [1n, BigInt(i), ...hashes, BigInt(1000 + i), BigInt(1700000000 + i)];
}

function randomLeaf(seed, tree, i) {
  const word = (name) => hash(`${seed}/${tree}/${i}/${name}`);
  const bits = (name, count) => BigInt(word(name)) & ((1n << BigInt(count)) - 1n);
  const hashes = ['job', 'spec', 'result', 'trace'].map(word);
  return [1n, BigInt(i), ...hashes, bits('price', 128), bits('completed', 63)];
}

function leafJson(leaf) {
  const [version, index, job_id, spec_hash, result_hash, trace_root, price, completed_at] = leaf;
  return {
    version: Number(version), index: Number(index), job_id, spec_hash, result_hash, trace_root,
    price: quantity(price), completed_at: quantity(completed_at),
  };
}

function treeJson(leaves) {
  const tree = StandardMerkleTree.of(leaves, LEAF_TYPES);
  return {
    leaves: leaves.map(leafJson),
    nodes: tree.dump().tree,
    proofs: leaves.map((_, i) => tree.getProof(i)),
  };
}

function header(leaves) {
  const receipts = leaves.map((leaf, i) =>
    keccak256(encode(['bytes32', 'bytes32', 'bytes32', 'uint128'],
                     [leaf[2], leaf[4], hash(`output-${i}`), leaf[6]])));
  const commitment = orderedTreeRoot(receipts.map(hex));
  return {
    receipt_digests: receipts.map(hex),
    data_commitment: commitment,
    header_hash: H('rollup', ['uint256', 31337n], ['bytes32', hash('contract')],
                   ['bytes32', hash('operator')], ['uint256', 7n], ['bytes32', hash('previous')],
                   ['bytes32', StandardMerkleTree.of(leaves, LEAF_TYPES).root],
                   ['uint256', BigInt(leaves.length)], ['bytes32', commitment]),
  };
}

// The id of the ledger whose genesis record holds the bytes 0 to 31: the hash of that record.
function ledgerId() {
  const nonce = bytesToHex(Uint8Array.from({ length: 32 }, (_, i) => i));
  const payload = `{"format":1,"nonce":"${nonce}","type":"genesis"}`;
  return H('record', ['bytes32', '0x' + '0'.repeat(64)], ['uint256', 0n], ['bytes32', hash(payload)]);
}

function golden() {
  const leaves = Array.from({ length: MAX_COUNT }, (_, i) => designLeaf(i));
  const roots = leaves.map((_, i) => StandardMerkleTree.of(leaves.slice(0, i + 1), LEAF_TYPES).root);
  return { ledger_id: ledgerId(), roots, rollup_of_5: header(leaves.slice(0, 5)) };
}

function random(count, seed) {
  const trees = [];
  for (let n = 1; n <= MAX_COUNT; ++n) {
    trees.push(treeJson(Array.from({ length: n }, (_, i) => designLeaf(i))));
  }
  for (let t = 0; t < count; ++t) {
    const leaves = 1 + Number(BigInt(hash(`${seed}/${t}`)) % 60n);
    trees.push(treeJson(Array.from({ length: leaves }, (_, i) => randomLeaf(seed, t, i))));
  }
  return { seed, trees };
}

// Result i of tests/chain/vectors.py, its hashes from its fields.
function contractLeaf(i) {
  const [job, spec, trace, tokens] = ['job', 'spec', 'trace', 'tokens'].map((name) => hash(`${name}-${i}`));
  const output = H('output', ['bytes32', tokens], ['uint256', BigInt(i % 1000)], ['uint256', BigInt(i % 2)]);
  const result = H('result', ['bytes32', job], ['uint256', 1n], ['bytes32', spec], ['bytes32', output],
                   ['bytes32', trace]);
  return [1n, BigInt(i), job, spec, result, trace, BigInt(1000 + i), BigInt(1700000000 + i)];
}

// Root, and the last leaf with its proof.
function rollup(count) {
  const leaves = Array.from({ length: count }, (_, i) => contractLeaf(i));
  const tree = StandardMerkleTree.of(leaves, LEAF_TYPES);
  const proven = count - 1;
  return { count, root: tree.root, proven, leaf: tree.leafHash(leaves[proven]), proof: tree.getProof(proven) };
}

const [, , , mode, ...rest] = process.argv;
const modes = {
  golden,
  random: () => random(Number(rest[0]), rest[1]),
  rollups: () => rest.map((count) => rollup(Number(count))),
};
const answer = modes[mode]();
process.stdout.write(JSON.stringify(answer, null, mode === 'golden' ? 1 : 0) + '\n');

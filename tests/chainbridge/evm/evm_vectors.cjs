// What ethers makes of random values: transactions, calls, typed data, messages, a keystore.
//
//   node evm_vectors.cjs NODE_MODULES N SEED
'use strict';

const path = require('path');
const { createRequire } = require('module');

const packages = createRequire(path.join(path.resolve(process.argv[2]), 'resolve.js'));
const ethers = packages('ethers');

const count = Number(process.argv[3]);
let state = BigInt(process.argv[4]) + 1n;

// xorshift64*: the same values for a seed everywhere.
function next() {
  state ^= state >> 12n;
  state = BigInt.asUintN(64, state ^ (state << 25n));
  state ^= state >> 27n;
  return BigInt.asUintN(64, state * 2685821657736338717n);
}
const below = (limit) => Number(next() % BigInt(limit));
const bytes = (size) => ethers.hexlify(Uint8Array.from({ length: size }, () => below(256)));
const digest = () => bytes(32);
const uint = (bits) => {
  let value = 0n;
  for (let i = 0; i < bits; i += 64) value = (value << 64n) | next();
  return BigInt.asUintN(below(bits) + 1, value);
};
const address = () => ethers.getAddress(bytes(20));

function transaction() {
  const wallet = new ethers.Wallet(digest());
  const tip = uint(64);
  const tx = ethers.Transaction.from({
    type: 2, chainId: uint(40) + 1n, nonce: Number(uint(32)), maxPriorityFeePerGas: tip, maxFeePerGas: tip + uint(64),
    gasLimit: uint(40), to: below(5) ? address() : null, value: uint(200), data: bytes(below(200)),
  });
  tx.signature = wallet.signingKey.sign(tx.unsignedHash);
  return { key: wallet.privateKey, from: wallet.address, unsigned: tx.unsignedSerialized, signed: tx.serialized, hash: tx.hash };
}

const FIELD_TYPES = ['uint8', 'int32', 'uint256', 'address', 'bool', 'bytes4', 'bytes32', 'bytes', 'string', 'uint64[]',
  'bytes[]', 'bytes32[3]', '(uint128,string)', '(address,bytes)[]', 'uint16[2][]'];
function fieldValue(type) {
  if (type.endsWith('[]')) return Array.from({ length: below(4) }, () => fieldValue(type.slice(0, -2)));
  const fixed = type.match(/^(.*)\[(\d+)\]$/);
  if (fixed) return Array.from({ length: Number(fixed[2]) }, () => fieldValue(fixed[1]));
  if (type.startsWith('(')) return type.slice(1, -1).split(',').map(fieldValue);
  if (type === 'address') return address();
  if (type === 'bool') return below(2) === 1;
  if (type === 'string') return 'x'.repeat(below(70));
  if (type === 'bytes') return bytes(below(70));
  if (type.startsWith('bytes')) return bytes(Number(type.slice(5)));
  if (type === 'int32') return BigInt.asIntN(32, next());
  return uint(Number(type.slice(4)));
}
function call() {
  const types = Array.from({ length: below(6) }, () => FIELD_TYPES[below(FIELD_TYPES.length)]);
  const signature = `method${below(100)}(${types.join(',')})`;
  const coder = new ethers.Interface([`function ${signature.replace(/\((?=[^)]*,)/g, (m, at) => (at > 8 ? 'tuple(' : m))}`]);
  return { signature, data: coder.encodeFunctionData(coder.fragments[0], types.map(fieldValue)) };
}

const SPEC = [['modelId', 'bytes32'], ['samplingHash', 'bytes32'], ['promptHash', 'bytes32'], ['promptTokens', 'uint32'],
  ['maxCompletionTokens', 'uint32'], ['pricePerPromptToken', 'uint64'], ['pricePerCompletionToken', 'uint64'],
  ['deadline', 'uint64'], ['provider', 'address']];
const TYPES = {
  Login: [['job', 'bytes32'], ['expiry', 'uint64']],
  Receipt: [['jobId', 'bytes32'], ['resultHash', 'bytes32'], ['outputHash', 'bytes32'], ['price', 'uint128']],
  RollupHeader: [['operator', 'address'], ['sequence', 'uint64'], ['previous', 'bytes32'], ['root', 'bytes32'],
    ['count', 'uint64'], ['dataCommitment', 'bytes32']],
  OperatorConsent: [['owner', 'address'], ['operator', 'address'], ['salt', 'bytes32'], ['expiry', 'uint64']],
  PostOrder: [['client', 'address'], ['clientNonce', 'uint64'], ['spec', 'Spec'], ['salt', 'bytes32'], ['expiry', 'uint64']],
};
const members = (fields) => fields.map(([name, type]) => ({ name, type }));
const values = (fields) => Object.fromEntries(
  fields.map(([name, type]) => [name, type === 'Spec' ? values(SPEC) : fieldValue(type)]));
const decimal = (object) => JSON.parse(JSON.stringify(object, (_, v) => (typeof v === 'bigint' ? v.toString() : v)));
function typed(name) {
  const types = { [name]: members(TYPES[name]), ...(name === 'PostOrder' ? { Spec: members(SPEC) } : {}) };
  const domain = { name: 'Lockstep', version: '1', chainId: Number(uint(40)) + 1, verifyingContract: address() };
  const message = values(TYPES[name]);
  return { name, domain, message: decimal(message), digest: ethers.TypedDataEncoder.hash(domain, types, message) };
}

function personal() {
  const wallet = new ethers.Wallet(digest());
  const message = 'm'.repeat(below(200));
  return { key: wallet.privateKey, message, signature: wallet.signMessageSync(message) };
}

function keystore() {
  const account = new ethers.Wallet(digest());
  const text = ethers.encryptKeystoreJsonSync({ address: account.address, privateKey: account.privateKey }, 'pass phrase',
    { scrypt: { N: 1024, r: 8, p: 1 }, salt: digest(), iv: bytes(16), uuid: bytes(16) });
  const lower = JSON.parse(text);  // ethers still writes the key of an early draft.
  lower.crypto = lower.Crypto ?? lower.crypto;
  delete lower.Crypto;
  return { key: account.privateKey, text: JSON.stringify(lower) };
}

const many = (make) => Array.from({ length: count }, make);
console.log(JSON.stringify({
  transactions: many(transaction), calls: many(call), keystores: [keystore()], messages: many(personal),
  typed: many(() => typed(Object.keys(TYPES)[below(5)])),
}));

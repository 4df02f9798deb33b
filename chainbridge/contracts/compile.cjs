// Compiles the contracts into artifacts: their ABI and the bytecode that creates them.
//
//   node compile.cjs NODE_MODULES SOURCES OUT [CONTRACT...]
//
// SOURCES is this folder or a copy of it. The same sources give the same bytes: comments and paths are not in them.
'use strict';

const fs = require('fs');
const path = require('path');

const CONTRACTS = ['ModelRegistry', 'NodeRegistry', 'JobEscrow', 'ResultRollup'];
const TRANSIENT_STORAGE = '2394'; // A warning about the reentrancy guard, which clears its word itself.
const SETTINGS = {
  evmVersion: 'cancun', // Transient storage; no newer instruction is needed.
  viaIR: !process.env.LOCKSTEP_QUICK, // Mutants are compiled the quick way.
  optimizer: { enabled: true, runs: 1000 },
  metadata: { appendCBOR: false, bytecodeHash: 'none' },
};

function compile(nodeModules, sources, contracts) {
  const solc = require(path.resolve(nodeModules, 'solc'));
  const read = (name) => ({
    contents: fs.readFileSync(path.join(name.startsWith('@') ? nodeModules : sources, name), 'utf8'),
  });
  const outputSelection = {};
  const input = { language: 'Solidity', sources: {}, settings: { ...SETTINGS, outputSelection } };
  for (const contract of contracts) {
    input.sources[`${contract}.sol`] = { content: read(`${contract}.sol`).contents };
    outputSelection[`${contract}.sol`] = { [contract]: ['abi', 'evm.bytecode.object'] };
  }
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
  const errors = (output.errors || [])
    .filter((error) => error.errorCode !== TRANSIENT_STORAGE)
    .filter((error) => error.severity === 'error' || !process.env.LOCKSTEP_QUICK)
    .map((error) => error.formattedMessage);
  if (errors.length > 0) throw new Error(errors.join('\n')); // Warnings, too.
  return output.contracts;
}

// One line an entry of the ABI, so that a change can be read.
function artifact(contract, { abi, evm }) {
  const entries = abi.map((entry) => JSON.stringify(entry)).join(',\n');
  return `{"contract":"${contract}","abi":[\n${entries}\n],\n"bytecode":"0x${evm.bytecode.object}"}\n`;
}

function writeArtifacts(nodeModules, sources, out, contracts) {
  const compiled = compile(nodeModules, sources, contracts);
  fs.mkdirSync(out, { recursive: true });
  for (const contract of contracts) {
    const text = artifact(contract, compiled[`${contract}.sol`][contract]);
    fs.writeFileSync(path.join(out, `${contract}.json`), text);
  }
}

if (require.main === module) {
  const [nodeModules, sources, out, ...names] = process.argv.slice(2);
  writeArtifacts(nodeModules, sources, out, names.length > 0 ? names : CONTRACTS);
}
module.exports = { writeArtifacts };

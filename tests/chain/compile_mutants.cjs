// Compiles mutated contracts, all in one process, since the compiler takes longest to start.
//
//   node compile_mutants.cjs COMPILE_CJS NODE_MODULES < [{"sources": FOLDER, "out": FOLDER, "contracts": [NAME...]}...]
//
// Writes what the compiler says against each to stdout, null for nothing.
'use strict';

const fs = require('fs');
const path = require('path');

const { writeArtifacts } = require(path.resolve(process.argv[2]));

function complaint({ sources, out, contracts }) {
  try {
    writeArtifacts(process.argv[3], sources, out, contracts);
    return null;
  } catch (error) {
    return error.message;
  }
}

process.stdout.write(JSON.stringify(JSON.parse(fs.readFileSync(0, 'utf8')).map(complaint)));

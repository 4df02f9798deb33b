// The npm package solc as the compiler that forge calls: `--version`, and `--standard-json` from stdin to stdout.
//
//   node solc.cjs NODE_MODULES ARGUMENT...
'use strict';

const fs = require('fs');
const path = require('path');

const solc = require(path.resolve(process.argv[2], 'solc'));
if (process.argv.includes('--version')) {
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`);
} else {
  process.stdout.write(solc.compile(fs.readFileSync(0, 'utf8')));
}

// Prints the CIDs that npm's ipfs-unixfs-importer gives files of the profile unixfs-v1-2025, as a line "SIZE CID" each.
//
//   node cid_reference.mjs NODE_MODULES SIZE...
//
// Byte i of every file is ((i mod 2^20) * 2654435761 mod 2^32 >> 24) xor ((i >> 20) mod 4).
import { pathToFileURL } from 'node:url'

const [modules, ...sizes] = process.argv.slice(2)
const load = (path) => import(pathToFileURL(`${modules}/ipfs-unixfs-importer/dist/src/${path}`))
const { importer } = await load('index.js')
const { fixedSize } = await load('chunker/index.js')
const { balanced } = await load('layout/index.js')

const chunkBytes = 1 << 20
const nowhere = { put: async (cid) => cid }

async function * content (bytes) {
  for (let at = 0; at < bytes; at += chunkBytes) {
    const chunk = new Uint8Array(Math.min(chunkBytes, bytes - at))
    const leaf = (at / chunkBytes) & 3
    for (let i = 0; i < chunk.length; ++i) chunk[i] = (Math.imul(i, 2654435761) >>> 24) ^ leaf
    yield chunk
  }
}

for (const size of sizes) {
  const options = {
    cidVersion: 1,
    rawLeaves: true,
    wrapWithDirectory: false,
    reduceSingleLeafToSelf: true,
    chunker: fixedSize({ chunkSize: chunkBytes }),
    layout: balanced({ maxChildrenPerNode: 1024 })
  }
  for await (const file of importer([{ path: 'file', content: content(Number(size)) }], nowhere, options)) {
    console.log(`${size} ${file.cid}`)
  }
}

"""A chain of anvil on a free port of the loopback, mined by hand, and a contract that notes every word once."""
import json
import os
import subprocess
import urllib.request
from pathlib import Path

BUILD = Path(os.environ.get("LOCKSTEP_BUILD_DIR") or Path(__file__).resolve().parents[2] / "build")
NODE_MODULES = Path(os.environ.get("LOCKSTEP_NODE_MODULES") or BUILD / "node/node_modules")
ANVIL = NODE_MODULES / "@foundry-rs/anvil-linux-amd64/bin/anvil"
CHAIN_ID = 31337
# Of anvil's own accounts, which every installation has.
KEYS = ["ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"]
ACCOUNTS = ["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"]

# contract: key = calldata[0:32]; if (stored[key]) revert AlreadyRecorded(); log1(key); stored[key] = 1
RUNTIME = ("600035" "80" "54" "15" "6019" "57"              # key; jump to 0x19 unless stored
           "63103b4afe" "60e0" "1b" "6000" "52" "6004" "6000" "fd"
           "5b" "80" "6000" "6000" "a1" "6001" "90" "55" "00")
INIT = "60" + f"{len(RUNTIME) // 2:02x}" + "600c" "6000" "39" "60" + f"{len(RUNTIME) // 2:02x}" + "6000" "f3"


class Anvil:
    def __init__(self, *options):
        command = [ANVIL, "--host", "127.0.0.1", "--port", "0", "--no-mining", *map(str, options)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.url = None
        for line in self.process.stdout:
            if "Listening on" in line:
                self.url = "http://" + line.split()[-1]
                break
        assert self.url, f"anvil ended with {self.process.wait()}"
        self.genesis = self.call("eth_getBlockByNumber", "0x0", False)["hash"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def call(self, method, *params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            parsed = json.load(answer)
        assert "error" not in parsed, f"{method}: {parsed['error']}"
        return parsed["result"]

    def mine(self, blocks=1):
        self.call("anvil_mine", hex(blocks))

    def reorganize(self, depth, transactions=()):
        self.call("anvil_reorg", depth, list(transactions))

    def deploy(self):
        """The address of a new contract."""
        data = "0x" + INIT + RUNTIME
        sent = self.call("eth_sendTransaction", {"from": ACCOUNTS[1], "data": data, "gas": hex(300_000)})
        self.mine()
        receipt = self.call("eth_getTransactionReceipt", sent)
        assert receipt["status"] == "0x1"
        return receipt["contractAddress"]

    def times_noted(self, contract, word):
        """How often the chain, as it is now, has the effect of this word: never, or once."""
        query = {"fromBlock": "0x0", "toBlock": "latest", "address": contract, "topics": [word]}
        return len(self.call("eth_getLogs", query))

"""The outbox over a real chain (anvil): every write has its effect once, whatever is reorganized, dropped or killed."""
import itertools
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from support.anvil import ACCOUNTS, ANVIL, CHAIN_ID, KEYS, Anvil

SOURCE = Path(os.environ.get("LOCKSTEP_SOURCE_DIR") or Path(__file__).resolve().parents[2])
TESTS = Path(os.environ.get("LOCKSTEP_BUILD_DIR") or SOURCE / "build") / "release/tests"
TOOL = Path(os.environ.get("LOCKSTEP_OUTBOX_TOOL") or TESTS / "outbox_tool")
CRASH_TOOL = Path(os.environ.get("LOCKSTEP_OUTBOX_CRASH_TOOL") or TESTS / "outbox_crash_tool")
POINTS = re.findall(r'^    "(outbox\.[a-z_]+)",', (SOURCE / "base/crash_point.h").read_text(), re.MULTILINE)

pytestmark = pytest.mark.skipif(not ANVIL.exists() or not TOOL.exists(), reason="no anvil, or no outbox_tool")


class Tool:
    """A process with an outbox, which may be killed at any time and started again on the same database."""

    def __init__(self, folder, anvil, finality=4, binary=TOOL):
        self.command = [binary, folder / "outbox.sqlite", CHAIN_ID, anvil.genesis, f"key:{KEYS[0]}", finality,
                        anvil.url]
        self.process = None

    def start(self, crash_at=""):
        environment = {**os.environ, "LOCKSTEP_CRASH_AT": crash_at}
        self.process = subprocess.Popen(list(map(str, self.command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, env=environment)
        return self

    def ask(self, *words):
        """The answer, or None when the process died."""
        try:
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def state(self, key):
        return self.ask("row", key)["state"]

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()


@pytest.fixture
def tool_of(request, tmp_path):
    tools = []

    def make(anvil, **options):
        tools.append(Tool(tmp_path, anvil, **options))
        return tools[-1]

    yield make
    for tool in tools:
        tool.stop()


def word(number):
    return "0x" + f"{number:064x}"


def settle(tool, anvil, key, rounds=30):
    """Blocks and polls until the write is final."""
    state = None
    for _ in range(rounds):
        anvil.mine()
        report = tool.ask("poll")
        assert report is not None, "the tool died"
        state = tool.state(key)
        if state in ("final", "failed"):
            break
    return state


def test_a_write_goes_from_intent_to_final(tool_of):
    with Anvil() as anvil:
        contract = anvil.deploy()
        tool = tool_of(anvil).start()
        assert tool.ask("add", "a", contract, word(1)) == {"added": True}
        assert tool.ask("add", "a", contract, word(1)) == {"added": False}
        assert tool.ask("poll")["alarms"] == []
        assert tool.state("a") == "sent"
        anvil.mine()
        tool.ask("poll")
        assert tool.state("a") == "included"
        anvil.mine(4)
        tool.ask("poll")
        assert tool.state("a") == "final"
        assert anvil.times_noted(contract, word(1)) == 1


def test_what_is_recorded_already_counts_as_done(tool_of):
    with Anvil() as anvil:
        contract = anvil.deploy()
        anvil.call("eth_sendTransaction", {"from": ACCOUNTS[1], "to": contract, "data": word(1), "gas": hex(100_000)})
        anvil.mine(6)
        tool = tool_of(anvil).start()
        tool.ask("add", "a", contract, word(1))
        tool.ask("poll")
        row = tool.ask("row", "a")
        assert (row["state"], row["reason"], row["attempts"]) == ("final", "AlreadyRecorded()", 0)


def test_the_final_block_is_the_nodes_own_where_no_depth_is_given(tool_of):
    with Anvil("--slots-in-an-epoch", 1) as anvil:
        contract = anvil.deploy()
        tool = tool_of(anvil, finality="finalized").start()
        tool.ask("add", "a", contract, word(1))
        tool.ask("poll")
        assert settle(tool, anvil, "a") == "final"


# State of the write when the reorganization comes, its depth, and whether the transaction comes back.
CELLS = list(itertools.product(("sent", "included"), (1, 2, 3), ("dropped", "kept")))


@pytest.mark.parametrize("state,depth,fate", CELLS)
def test_a_reorganization_changes_nothing(tool_of, state, depth, fate):
    with Anvil() as anvil:
        contract = anvil.deploy()
        anvil.mine(8)
        tool = tool_of(anvil, finality=6).start()
        tool.ask("quick")
        tool.ask("add", "a", contract, word(1))
        tool.ask("poll")
        if state == "included":
            anvil.mine()
            tool.ask("poll")
        assert tool.state("a") == state
        pool = anvil.call("eth_getBlockByNumber", "latest", True)["transactions"]
        raw = [anvil.call("eth_getRawTransactionByHash", t["hash"]) for t in pool] if fate == "kept" else []
        anvil.reorganize(depth, [[r, 0] for r in raw])
        assert settle(tool, anvil, "a") == "final"
        assert anvil.times_noted(contract, word(1)) == 1


def test_a_final_block_that_vanishes_stops_the_chain(tool_of):
    with Anvil() as anvil:
        contract = anvil.deploy()
        anvil.mine(8)
        tool = tool_of(anvil, finality=2).start()
        tool.ask("poll")
        anvil.reorganize(6)
        anvil.mine()
        tool.ask("add", "a", contract, word(1))
        report = tool.ask("poll")
        assert report["code"] == "aborted" and "final" in report["error"], report
        anvil.mine(3)
        assert tool.ask("poll")["code"] == "aborted"
        assert tool.ask("row", "a")["attempts"] == 0, "nothing was signed"


def test_a_dropped_transaction_is_sent_again_and_a_stuck_one_replaced(tool_of):
    with Anvil() as anvil:
        contract = anvil.deploy()
        tool = tool_of(anvil).start()
        tool.ask("add", "a", contract, word(1))
        tool.ask("poll")
        anvil.call("anvil_dropAllTransactions")
        tool.ask("quick")
        tool.ask("poll")
        assert tool.ask("row", "a")["attempts"] == 2
        assert settle(tool, anvil, "a") == "final"
        assert anvil.times_noted(contract, word(1)) == 1


def test_a_nonce_used_by_another_process_is_given_up_for_the_next(tool_of):
    with Anvil() as anvil:
        contract = anvil.deploy()
        tool = tool_of(anvil, finality=2).start()
        tool.ask("quick")
        tool.ask("add", "a", contract, word(1))
        tool.ask("poll")
        anvil.call("anvil_dropAllTransactions")
        anvil.call("eth_sendTransaction", {"from": ACCOUNTS[0], "to": ACCOUNTS[1], "value": "0x1"})
        anvil.mine(4)
        assert any("another process" in alarm for alarm in tool.ask("poll")["alarms"])
        assert settle(tool, anvil, "a") == "final"
        assert tool.ask("row", "a")["nonce"] == 1
        assert anvil.times_noted(contract, word(1)) == 1


# What brings a process to a point that a plain write does not pass.
def reorganize(anvil, tool):
    anvil.reorganize(1)


def record_already(anvil, tool):
    anvil.call("eth_sendTransaction", {"from": ACCOUNTS[1], "to": tool.contract, "data": word(1), "gas": hex(100_000)})
    anvil.mine(6)


def use_nonce(anvil, tool):
    anvil.call("anvil_dropAllTransactions")
    anvil.call("eth_sendTransaction", {"from": ACCOUNTS[0], "to": ACCOUNTS[1], "value": "0x1"})
    anvil.mine(6)


def race(anvil, tool):
    """Another account's write comes before ours into the block: ours is reverted."""
    anvil.call("eth_sendTransaction", {"from": ACCOUNTS[1], "to": tool.contract, "data": word(1), "gas": hex(100_000),
                                       "maxFeePerGas": hex(10**12), "maxPriorityFeePerGas": hex(10**11)})


# Point: (behind which poll it is brought about, before the next block; how)
BRINGS_ABOUT = {
    "outbox.preflight": (0, record_already),
    "outbox.vanish": (2, reorganize), "outbox.vanished": (2, reorganize),
    "outbox.examine": (1, race), "outbox.examined": (1, race),
    "outbox.stranger": (1, use_nonce),
    "outbox.replace": (1, None),  # No block comes, until it dies.
}
ELSEWHERE = {"outbox.halted", "outbox.refuse"}  # Nothing is written to the chain there; unit tests have them.


def kill_at(point, hit, tool_of):
    with Anvil() as anvil:
        tool = tool_of(anvil, binary=CRASH_TOOL, finality=3)
        tool.contract = anvil.deploy()
        when, bring_about = BRINGS_ABOUT.get(point, (None, None))
        died, added, polls = 0, False, 0
        tool.start(f"{point}:{hit}")
        for _ in range(60):
            if when == polls == 0:
                bring_about(anvil, tool)
            answers = [tool.ask("quick"), added or tool.ask("add", "a", tool.contract, word(1)), tool.ask("poll")]
            if answers[-1] is None:
                assert tool.process.wait() == -signal.SIGKILL
                died += 1
                tool.stop()
                tool.start()
                continue
            added, polls = True, polls + 1
            if tool.state("a") in ("final", "failed"):
                break
            if when == polls and bring_about:
                bring_about(anvil, tool)
            if point != "outbox.replace" or died:
                anvil.mine()
        assert died == 1, f"{point} was not passed {hit} times"
        assert tool.state("a") == "final", tool.ask("row", "a")
        assert anvil.times_noted(tool.contract, word(1)) == 1
        tool.stop()


@pytest.mark.parametrize("point", sorted(set(POINTS) - ELSEWHERE))
def test_a_kill_at_any_point_neither_loses_nor_doubles_a_write(tool_of, point):
    if not CRASH_TOOL.exists():
        pytest.skip(f"no {CRASH_TOOL}")
    kill_at(point, 1, tool_of)


def test_every_point_is_killed_at():
    assert len(POINTS) - len(ELSEWHERE) >= 15
    assert set(BRINGS_ABOUT) | ELSEWHERE <= set(POINTS)

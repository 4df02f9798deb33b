"""CIDs against npm ipfs-unixfs-importer: sizes around a leaf, random sizes, and trees of more than one level."""

import random
from pathlib import Path

import pytest

from support.package_vectors import PackageVectors

VECTORS = PackageVectors(Path(__file__).parent / "cid_reference.mjs", "sharding",
                         "FileCid.EqualsTheVectorsOfThePackage", "LOCKSTEP_CID_VECTORS", making_s=900, comparing_s=900)
MIB = 1 << 20


def compare(directory, sizes):
    vectors = VECTORS.make(directory, *sizes)
    assert len(vectors.read_text().splitlines()) == len(sizes)
    VECTORS.compare(vectors)


def test_cids_equal_the_package(tmp_path):
    draw = random.Random(1)
    sizes = [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 1]
    compare(tmp_path, sizes + [draw.randrange(8 * MIB) for _ in range(20)])


@pytest.mark.long
def test_cids_of_deep_trees_equal_the_package(tmp_path):
    # None of 2 to 4 GiB: there the package writes uninitialized memory as the size of the file.
    compare(tmp_path, [1023 * MIB + 5, 1024 * MIB, 1024 * MIB + 1, 4097 * MIB])

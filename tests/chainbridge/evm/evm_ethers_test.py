"""Our transactions, ABI, typed data, messages and keystores against npm ethers, on random values."""
from pathlib import Path

import pytest

from support.package_vectors import PackageVectors

VECTORS = PackageVectors(Path(__file__).parent / "evm_vectors.cjs", "chainbridge", "EvmVectors.EqualThoseOfEthers",
                         "LOCKSTEP_EVM_VECTORS", making_s=300, comparing_s=300)


def compare(directory, count, seed):
    VECTORS.compare(VECTORS.make(directory, count, seed), f"seed {seed}")


def test_bytes_equal_those_of_ethers(tmp_path):
    compare(tmp_path, 100, 1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_more_bytes_equal_those_of_ethers(tmp_path, seed):
    compare(tmp_path, 1000, seed)

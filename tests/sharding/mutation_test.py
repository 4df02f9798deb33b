"""The mutation tests of importer and manifest at their full count."""

import os
import resource
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BUILD = Path(os.environ.get("LOCKSTEP_BUILD_DIR") or HERE.parents[1] / "build")
UNIT_TEST = os.environ.get("LOCKSTEP_SHARDING_TEST") or str(BUILD / "release/tests/sharding_test")
LIMIT_BYTES = 80 << 20  # 64 MiB, and the test program itself.


@pytest.mark.long
@pytest.mark.parametrize("suite", ["ImportGguf", "ManifestFromJson"])
def test_mutations_are_refused_or_verify(suite):
    if not Path(UNIT_TEST).exists():
        pytest.skip(f"no {UNIT_TEST}")
    done = subprocess.run(
        [UNIT_TEST, f"--gtest_filter={suite}.SurvivesMutations"],
        env={**os.environ, "LOCKSTEP_LONG": "1"},
        capture_output=True,
        text=True,
        timeout=7200,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "[  PASSED  ] 1 test" in done.stdout, done.stdout
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert peak < LIMIT_BYTES, f"{peak} bytes"

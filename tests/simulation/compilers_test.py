"""Seeds 1 to 100 give the same traces whether GCC or clang (with sanitizers) compiled the world."""
import os
import subprocess
from pathlib import Path

BUILD = Path(os.environ["LOCKSTEP_BUILD_DIR"])


def hashes(preset):
    tool = BUILD / preset / "tests" / "simulation_tool"
    done = subprocess.run([tool, "1", "100", "--hashes"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.splitlines()


def test_gcc_and_clang_give_the_same_hashes():
    ours = hashes("release")
    assert len(set(line.split()[1] for line in ours)) == 100
    assert ours == hashes("asan")

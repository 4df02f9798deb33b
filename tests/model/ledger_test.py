"""The ledger: what was assigned and what came out, and that running a job again is the proof of it.

The file is read and rebuilt by support/ledger_file.py, an independent implementation of its format.
"""

import copy
import json
import os
import shutil
import signal
import subprocess

import pytest

from support import identifiers, ledger_file, lockstep
from support.lockstep import BAD_DATA, NO_INPUT, generate, refused, run, run_json, run_ok

PROMPTS = ([5, 6, 7], [10, 20, 30, 40], [299], [8, 8, 8, 8, 8])


def job(store, ledger, ids, **options):
    return generate(store, prompt_ids=ids, ignore_eos=True, ledger=ledger, **options)


@pytest.fixture(scope="module")
def ledger(small_model, tmp_path_factory):
    """A ledger of four jobs: (directory, store, what `run` printed). Tests that change it copy it
    first.
    """
    store, _ = small_model
    directory = tmp_path_factory.mktemp("ledger") / "book"
    runs = []
    for i, ids in enumerate(PROMPTS):
        drawn = dict(temperature=0.8, seed=i) if i % 2 else {}
        runs.append(job(store, directory, ids, max_tokens=6, ranks=1 + i % 3, **drawn))
    return directory, store, runs


@pytest.fixture
def copied(ledger, tmp_path):
    directory, store, _ = ledger
    shutil.copytree(directory, tmp_path / "book")
    return tmp_path / "book", store


def test_merkle_tree_is_openzeppelins():
    """The golden vector of the chain design, so that the tests' own tree can be trusted."""
    name = lambda text: identifiers.keccak(text.encode())
    leaves = [
        ledger_file.leaf_hash(
            i,
            name(f"job-{i}"),
            name(f"spec-{i}"),
            name(f"result-{i}"),
            name(f"trace-{i}"),
            1700000000 + i,
            price=1000 + i,
        )
        for i in range(3)
    ]
    assert (
        ledger_file.merkle_root(leaves).hex()
        == "69a57c625de3bf7af0c4a6512a6cd0c353524d7fd471b48c69168a865658ae5a"
    )


def test_records_say_what_run_printed(ledger):
    directory, store, runs = ledger
    records = ledger_file.read(directory)
    assert records[0]["type"] == "genesis"
    assigned = [r for r in records if r["type"] == "assignment"]
    results = [r for r in records if r["type"] == "result"]
    assert [r["prompt_ids"] for r in assigned] == list(PROMPTS)
    assert {r["model_id"] for r in assigned} == {run_json("inspect", store)["model_id"]}
    assert [len(r["ranks"]) for r in assigned] == [1, 2, 3, 1]
    for got, result in zip(runs, results, strict=True):
        assert result["completion_ids"] == got["token_ids"]
        assert result["token_digests"] == got["token_digests"]
        for key in ("output_hash", "trace_root", "result_hash"):
            assert result[key] == got[key]
    assert records[-1]["type"] == "rollup"


def test_hashes_are_those_computed_by_hand(ledger):
    """Rebuilding every hash from the records' own fields changes nothing."""
    records = ledger_file.read(ledger[0])
    assert ledger_file.rebuild(copy.deepcopy(records)) == records


def test_result_does_not_depend_on_the_ledger_but_for_its_job(ledger):
    directory, store, runs = ledger
    plain = generate(store, prompt_ids=PROMPTS[0], ignore_eos=True, max_tokens=6)
    for key in ("token_ids", "token_digests", "output_hash", "trace_root"):
        assert plain[key] == runs[0][key]
    assert plain["result_hash"] != runs[0]["result_hash"]


def test_verify_passes(ledger):
    run_ok("chain", "verify", ledger[0])


def test_rerun_passes(ledger):
    directory, store, _ = ledger
    run_ok("chain", "verify", directory, "--rerun", "all", "--model", store)
    run_ok("chain", "verify", directory, "--rerun", 2, "--model", store)


def test_rerun_wants_the_model_that_ran(ledger, tmp_path):
    from support.random_model import Case

    case = Case(12)
    case.gguf().write(tmp_path / "other.gguf")
    other = lockstep.shard(tmp_path / "other.gguf", tmp_path / "other")
    done = run("chain", "verify", ledger[0], "--rerun", "all", "--model", other)
    assert done.returncode != 0 and "model" in done.stderr


def test_prove_gives_a_proof_that_holds(ledger):
    directory, _, runs = ledger
    records = ledger_file.read(directory)
    for number, record in enumerate(r for r in records if r["type"] == "result"):
        proof = run_json("chain", "prove", directory, record["job_id"])
        digests = {k: v for k, v in _hex_values(proof)}
        text = json.dumps(proof)
        rollup = next(r for r in records[records.index(record) :] if r["type"] == "rollup")
        assert rollup["root"] in text, f"no root of its rollup: {sorted(digests)}"
        siblings = [bytes.fromhex(s.removeprefix("0x")) for s in _find(proof, "proof")]
        index = _index_in_rollup(records, record)
        leaf = ledger_file.leaf_of(record, index)
        assert ledger_file.verify_proof(bytes.fromhex(rollup["root"]), leaf, siblings), (
            f"job {number}"
        )
    refused("chain", "prove", directory, "ab" * 32, code=(lockstep.USAGE, NO_INPUT))


def _hex_values(value, path=""):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _hex_values(inner, f"{path}.{key}")
    elif isinstance(value, str):
        yield path, value


def _find(value, key):
    """The list under `key`, wherever in the object it stands."""
    if isinstance(value, dict):
        if isinstance(value.get(key), list):
            return value[key]
        found = [f for inner in value.values() if (f := _find(inner, key)) is not None]
        return found[0] if found else None
    return None


def _index_in_rollup(records, record):
    at, index = records.index(record), 0
    for earlier in records[:at]:
        index = 0 if earlier["type"] == "rollup" else index + (earlier["type"] == "result")
    return index


@pytest.mark.parametrize("place", [0, 3, 5])
def test_a_forged_token_passes_every_hash_but_not_the_rerun(copied, place):
    """One output token edited, chain, roots and proofs rebuilt: only running the job again can
    tell.
    """
    directory, store = copied
    records = ledger_file.read(directory)
    result = [r for r in records if r["type"] == "result"][1]
    result["completion_ids"][place] = (result["completion_ids"][place] + 1) % 300
    ledger_file.write(directory, ledger_file.rebuild(records))
    run_ok("chain", "verify", directory)
    done = refused("chain", "verify", directory, "--rerun", "all", "--model", store, code=BAD_DATA)
    assert result["job_id"][:8] in done.stderr + done.stdout
    assert f"token {place}" in done.stderr + done.stdout, done.stderr


def test_a_forged_digest_is_named_too(copied):
    directory, store = copied
    records = ledger_file.read(directory)
    result = [r for r in records if r["type"] == "result"][0]
    result["token_digests"][2] = "00" * 31 + "01"
    ledger_file.write(directory, ledger_file.rebuild(records))
    run_ok("chain", "verify", directory)
    done = refused("chain", "verify", directory, "--rerun", "all", "--model", store, code=BAD_DATA)
    assert "token 2" in done.stderr + done.stdout


def test_an_edit_without_rebuilding_is_refused(copied):
    directory, _ = copied
    records = ledger_file.read(directory)
    next(r for r in records if r["type"] == "result")["completion_ids"][0] ^= 1
    ledger_file.write(directory, records)  # Frames are right again, hashes of the result are not.
    refused("chain", "verify", directory, code=BAD_DATA, naming="record 2")


def test_every_flipped_byte_is_refused(copied):
    """At 40 places over the whole file, its first and last byte among them."""
    directory, _ = copied
    path = ledger_file.path_of(directory)
    raw = path.read_bytes()
    for at in {0, 5, 9, 17, len(raw) - 1, *range(31, len(raw), len(raw) // 35)}:
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x10]) + raw[at + 1 :])
        done = run("chain", "verify", directory)
        assert done.returncode == BAD_DATA, (
            f"byte {at} of {len(raw)}: exit {done.returncode} {done.stderr}"
        )
        assert "record" in done.stderr, f"byte {at}: {done.stderr}"


def test_a_missing_record_is_refused(copied):
    directory, _ = copied
    records = ledger_file.read(directory)
    ledger_file.write(directory, records[:1] + records[3:])
    refused("chain", "verify", directory, code=BAD_DATA, naming="record 1")


def test_a_torn_last_record_is_cut_off_at_the_next_start(copied):
    directory, store = copied
    path = ledger_file.path_of(directory)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    job(store, directory, [1, 2, 3], max_tokens=2)
    run_ok("chain", "verify", directory)
    records = ledger_file.read(directory)
    assert [r["type"] for r in records][10:] == [
        "assignment",
        "result",
        "assignment",
        "result",
        "rollup",
    ]
    assert records[-1]["count"] == 2  # The torn rollup's result is in the next one.


def test_kill_in_the_middle_leaves_an_assignment_without_a_result(small_model, tmp_path):
    directory, store = tmp_path / "book", lockstep.smollm2()
    command = [
        str(lockstep.BINARY),
        "run",
        "--model",
        str(store),
        "--prompt-ids",
        "1,2,3",
        "--max-tokens",
        "4000",
        "--ignore-eos",
        "--ledger",
        str(directory),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        process.stdout.read(1)  # A first token has come: the run is in its middle.
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    finally:
        process.stdout.close()
        process.kill()
    assert [r["type"] for r in ledger_file.read(directory)] == ["genesis", "assignment"]
    run_ok("chain", "verify", directory)
    small, _ = small_model
    job(small, directory, [4, 5], max_tokens=2)  # The book goes on.
    run_ok("chain", "verify", directory)
    kinds = [r["type"] for r in ledger_file.read(directory)]
    assert kinds[:4] == ["genesis", "assignment", "assignment", "result"]


def test_verify_names_what_is_missing(tmp_path, ledger):
    refused("chain", "verify", tmp_path / "nowhere", code=NO_INPUT, naming="nowhere")
    refused("chain", "verify", ledger[0], "--rerun", "all", code=lockstep.USAGE, naming="--model")
    refused(
        "chain",
        "verify",
        ledger[0],
        "--rerun",
        "many",
        "--model",
        ledger[1],
        code=lockstep.USAGE,
        naming="--rerun",
    )


def test_two_writers_do_not_mix(ledger, tmp_path):
    """Runs at the same time on one ledger: one after the other, or the second is told who writes;
    the book stays whole.
    """
    _, store, _ = ledger
    directory = tmp_path / "book"
    command = [
        str(lockstep.BINARY),
        "run",
        "--model",
        str(store),
        "--prompt-ids",
        "1,2,3",
        "--max-tokens",
        "50",
        "--ledger",
        str(directory),
    ]
    both = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    codes = [p.wait(60) for p in both]
    assert 0 in codes and set(codes) <= {0, lockstep.UNAVAILABLE, lockstep.TRY_AGAIN}
    run_ok("chain", "verify", directory)
    assert sum(r["type"] == "result" for r in ledger_file.read(directory)) == codes.count(0)

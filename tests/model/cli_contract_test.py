"""The fixed names of the command line, so that scripts can rely on them."""

import csv
import io
import json
import math
import os
from pathlib import Path

import pytest

from support import lockstep
from support.lockstep import flags, generate, refused, run_json, run_ok

RUN_KEYS = {
    "text": str,
    "token_ids": list,
    "token_digests": list,
    "output_hash": str,
    "trace_root": str,
    "result_hash": str,
    "finish_reason": str,
    "device": str,
    "steps": int,
    "computed_tokens": int,
    "cached_tokens": int,
    "ranks": list,
    "prompt_tokens": int,
    "completion_tokens": int,
    "time_to_first_token_s": float,
    "prefill_tokens_per_s": float,
    "decode_tokens_per_s": float,
}
# Ours, beyond what is promised.
MORE_KEYS = {"model_id", "spec_hash", "job_id", "seed"}
SUBCOMMANDS = (
    ["shard"],
    ["inspect"],
    ["run"],
    ["chain", "verify"],
    ["chain", "prove"],
    ["bench"],
    ["bench", "batch"],
    ["bench", "load"],
    ["bench", "machine"],
    ["bench", "ops"],
    ["bench", "perplexity"],
    ["bench", "serve"],
    ["doctor"],
)
# llama-bench's own names, without those that speak of things Lockstep has not got (ngl, flash_attn,
# ...).
BENCH_KEYS = (
    "build_commit",
    "cpu_info",
    "model_filename",
    "model_type",
    "model_size",
    "model_n_params",
    "n_batch",
    "n_threads",
    "n_prompt",
    "n_gen",
    "test_time",
    "avg_ns",
    "stddev_ns",
    "avg_ts",
    "stddev_ts",
)


@pytest.fixture
def store(small_model):
    return small_model[0]


@pytest.mark.parametrize("chunk", [1, 4, 512])
def test_run_json_has_exactly_the_keys(store, chunk):
    prompt = list(range(3, 13))
    got = generate(store, prompt_ids=prompt, max_tokens=7, ignore_eos=True, chunk=chunk, ranks=2)
    assert set(RUN_KEYS) <= set(got) <= set(RUN_KEYS) | MORE_KEYS
    for key, kind in RUN_KEYS.items():
        assert isinstance(got[key], kind if kind is not float else (int, float)), key
        assert not isinstance(got[key], bool), key
    for key in ("output_hash", "trace_root", "result_hash"):
        assert len(got[key]) == 64 and int(got[key], 16) >= 0
    assert got["prompt_tokens"] == 10 and got["completion_tokens"] == 7 == len(got["token_ids"])
    assert len(got["token_digests"]) == 7
    assert got["steps"] == math.ceil(10 / chunk) + 6
    assert got["computed_tokens"] == 10 + 6 and got["cached_tokens"] == 0
    assert got["finish_reason"] == "length"
    for key in ("time_to_first_token_s", "prefill_tokens_per_s", "decode_tokens_per_s"):
        assert math.isfinite(got[key]) and got[key] > 0, key


def test_layers_are_traced_only_when_asked_for(store):
    got = generate(store, prompt_ids=[3, 4, 5], max_tokens=2, trace="layers")
    assert set(got) - MORE_KEYS == set(RUN_KEYS) | {"layer_digests"}
    assert len(got["layer_digests"]) == 2 and all(len(d) == 16 for d in got["layer_digests"])


def test_ranks_share_the_work(small_model):
    """Each rank has its own bytes and multiply-adds; together they do what one does alone, and
    once more the keys and values of heads that two ranks share."""
    store, case = small_model
    options = dict(prompt_ids=[3, 4, 5], max_tokens=3, ignore_eos=True)
    of = lambda n: generate(store, ranks=n, **options)["ranks"]
    (alone,), shared = of(1), of(case.stored_parts)
    assert len(shared) == case.stored_parts == 4
    tokens, heads_twice = 3 + 2, 2  # Prompt and all completion tokens but the last; 2 of 2 heads.
    twice = tokens * case.layers * heads_twice * 2 * case.head_size * case.dim
    assert sum(r["multiply_adds"] for r in shared) == alone["multiply_adds"] + twice
    assert max(r["weight_bytes_read"] for r in shared) < alone["weight_bytes_read"]
    assert [r["parts"] for r in shared] == [[0, 1], [1, 2], [2, 3], [3, 4]]


def test_defaults_are_greedy_and_repeatable(store):
    runs = [generate(store, prompt_ids=[3, 4, 5], max_tokens=5) for _ in range(2)]
    assert runs[0]["result_hash"] == runs[1]["result_hash"]


def test_seed_is_chosen_when_none_is_given(store):
    options = dict(prompt_ids=[3, 4, 5], max_tokens=12, temperature=1.5, ignore_eos=True)
    drawn = [generate(store, **options)["token_ids"] for _ in range(3)]
    assert len({tuple(d) for d in drawn}) > 1
    seeded = [generate(store, seed=5, **options)["token_ids"] for _ in range(2)]
    assert seeded[0] == seeded[1]


def test_text_streams_to_standard_output_alone():
    """`lockstep run ... > answer.txt` holds the text and nothing else."""
    options = dict(chat="What is the capital of France?", max_tokens=24)
    text = generate(lockstep.smollm2(), **options)["text"]
    done = run_ok("run", "--model", lockstep.smollm2(), *flags(**options))
    assert text == "The capital of France is Paris."
    assert done.stdout.strip() == text
    assert "tokens/s" in done.stderr or "tok/s" in done.stderr


def test_stop_string_is_not_in_the_text_but_counted():
    options = dict(chat="What is the capital of France?", max_tokens=24)
    whole = generate(lockstep.smollm2(), **options)
    got = generate(lockstep.smollm2(), stop=" France", **options)
    assert got["text"] == "The capital of"
    assert got["finish_reason"] == "stop"
    assert got["token_ids"] == whole["token_ids"][: len(got["token_ids"])]
    assert got["completion_tokens"] == 4


def test_prompt_file_equals_prompt(tmp_path):
    text, path = "The sky is", tmp_path / "prompt.txt"
    path.write_text(text)
    ids = [
        generate(lockstep.smollm2(), max_tokens=4, **p)["token_ids"]
        for p in (dict(prompt=text), dict(prompt_file=path))
    ]
    assert ids[0] == ids[1]


@pytest.mark.parametrize("command", SUBCOMMANDS, ids=" ".join)
def test_help_of_every_subcommand(command):
    text = run_ok(*command, "--help").stdout
    assert "--json" in text
    assert "lockstep " + command[0] in text


def test_help_of_run_has_units_ranges_and_defaults():
    text = run_ok("run", "--help").stdout
    for flag in (
        "--model",
        "--ranks",
        "--weights",
        "--threads",
        "--device",
        "--prompt",
        "--chat",
        "--prompt-file",
        "--prompt-ids",
        "--max-tokens",
        "--ctx-size",
        "--stop",
        "--ignore-eos",
        "--temperature",
        "--top-k",
        "--top-p",
        "--min-p",
        "--repetition-penalty",
        "--seed",
        "--chunk",
        "--trace",
        "--ledger",
        "--json",
    ):
        assert flag in text, flag
    for word in ("tokens", "cpu:avx2", "logits"):
        assert word in text, word


def test_no_subcommand_says_what_there_is():
    done = lockstep.run()
    assert done.returncode == lockstep.USAGE
    for command in ("shard", "inspect", "run", "chain", "state", "bench", "doctor"):
        assert command in done.stdout + done.stderr


def test_inspect_says_what_is_in_a_store():
    about = run_json("inspect", lockstep.smollm2(), "--ranks", 3)
    for key in ("weights_root", "model_id", "config_hash", "manifest_hash"):
        assert len(about[key]) == 64
    assert about["activation_bits"] == 16 and about["kv_bits"] == 16
    assert len(about["parts"]) == 9 and len(about["ranks"]) == 3
    run_ok("inspect", lockstep.smollm2(), "--verify")


def test_two_imports_give_equal_bytes_whatever_the_file_size_is_the_model(small_model, tmp_path):
    store, _ = small_model
    again, split = tmp_path / "again", tmp_path / "split"
    source = store.parent / "small.gguf"
    run_ok("shard", source, "--out", again)
    run_ok("shard", source, "--out", split, "--file-bytes", 1 << 20)
    names = sorted(os.listdir(store))
    assert sorted(os.listdir(again)) == names
    assert all((store / n).read_bytes() == (again / n).read_bytes() for n in names)
    ids = [run_json("inspect", d)["model_id"] for d in (store, split)]
    assert ids[0] == ids[1]


def test_doctor_lists_devices():
    found = run_json("doctor")
    listed = {d["name"]: d["available"] for d in found["devices"]}
    assert listed["cpu:reference"] is True
    flags = Path("/proc/cpuinfo").read_text().split()
    assert listed["cpu:avx2"] is ("avx2" in flags)
    assert listed["cpu:avx512vnni"] is ("avx512_vnni" in flags)


# bench, as llama-bench.


def bench(store, form):
    return run_ok(
        "bench", "--model", store, "-p", 16, "-n", 8, "-t", "1,2", "-r", 2, "-o", form
    ).stdout


def assert_rows(rows):
    assert [(int(r["n_prompt"]), int(r["n_gen"]), int(r["n_threads"])) for r in rows] == [
        (16, 0, 1),
        (0, 8, 1),
        (16, 0, 2),
        (0, 8, 2),
    ]
    for row in rows:
        for key in BENCH_KEYS:
            assert key in row, key
        tokens = int(row["n_prompt"]) + int(row["n_gen"])
        assert float(row["avg_ts"]) > 0 and float(row["avg_ns"]) > 0
        # Means of a speed and of its inverse: their product is at least one, however the samples spread.
        assert 0.99 < float(row["avg_ts"]) * float(row["avg_ns"]) / 1e9 / tokens


def test_bench_json(store):
    rows = json.loads(bench(store, "json"))
    assert_rows(rows)
    for row in rows:
        assert len(row["samples_ns"]) == len(row["samples_ts"]) == 2
        assert sum(row["samples_ns"]) / 2 == pytest.approx(row["avg_ns"], rel=1e-3)


def test_bench_jsonl(store):
    assert_rows([json.loads(line) for line in bench(store, "jsonl").splitlines()])


def test_bench_csv(store):
    assert_rows(list(csv.DictReader(io.StringIO(bench(store, "csv")))))


def test_bench_md(store):
    lines = [line for line in bench(store, "md").splitlines() if line.startswith("|")]
    columns = [c.strip() for c in lines[0].strip("|").split("|")]
    assert columns[:3] == ["model", "size", "params"] and {"test", "t/s", "threads"} <= set(columns)
    tests = [
        dict(zip(columns, (c.strip() for c in line.strip("|").split("|"))))["test"]
        for line in lines[2:]
    ]
    assert tests == ["pp16", "tg8", "pp16", "tg8"]


def test_bench_behind_a_context(store):
    """Each depth once, and no run finds what it measures in the cache of an earlier one."""
    options = ["-p", 16, "-n", 3, "-d", "0,32", "-t", 1, "-r", 2]
    rows = run_json("bench", "--model", store, *options)
    assert [(r["n_prompt"], r["n_gen"], r["n_depth"]) for r in rows] == [
        (16, 0, 0),
        (0, 3, 0),
        (16, 0, 32),
        (0, 3, 32),
    ]
    assert all(len(r["samples_ns"]) == 2 for r in rows)
    text = run_ok("bench", "--model", store, *options).stdout
    assert "pp16 @ d32" in text and "tg3 @ d32" in text
    refused("bench", "--model", store, "-d", 30, code=lockstep.USAGE, naming="multiple of 16")
    too_long = ["-p", 0, "-n", 8, "-d", 32, "--ctx-size", 36]
    refused("bench", "--model", store, *too_long, code=lockstep.USAGE, naming="--ctx-size")


def test_bench_says_what_a_token_costs(small_model):
    store, case = small_model
    (row,) = run_json("bench", "--model", store, "-p", 0, "-n", 1, "-t", 1, "-r", 1)
    assert row["step_bytes"] < row["model_size"]
    assert row["head_multiply_adds"] == case.vocab * case.dim
    ranks = [generate(store, prompt_ids=[3], max_tokens=n, ignore_eos=True)["ranks"][0] for n in (1, 2)]
    one_token = ranks[1]["multiply_adds"] - ranks[0]["multiply_adds"]
    assert row["layer_multiply_adds"] + row["head_multiply_adds"] == one_token


def test_bench_batch(store):
    """As llama-batched-bench: its columns, and its keys."""
    options = ["--npp", 16, "--ntg", 4, "--npl", "1,3", "-t", 1]
    rows = run_json("bench", "batch", "--model", store, *options)
    assert [(r["pp"], r["tg"], r["pl"], r["n_kv"]) for r in rows] == [(16, 4, 1, 20), (16, 4, 3, 60)]
    for row in rows:
        assert row["t"] == pytest.approx(row["t_pp"] + row["t_tg"])
        assert row["speed"] == pytest.approx(row["n_kv"] / row["t"])
    lines = run_ok("bench", "batch", "--model", store, *options).stdout.splitlines()
    assert len(lines) == 4 and "| S_PP t/s |" in lines[0] and lines[0].endswith("| S t/s |")


def test_bench_load(store):
    got = run_json("bench", "load", "--model", store, "-r", 2, "--threads", 2)
    files = [f["bytes"] for f in json.loads((Path(store) / "manifest.json").read_text())["files"]]
    assert got["bytes"] == sum(files) and got["n_threads"] == 2
    for key in ("load_s", "read_s", "sha256_s"):
        assert len(got[key]) == 2 and min(got[key]) > 0


def test_bench_machine():
    got = run_json("bench", "machine", "--bytes", "1MiB", "--passes", 2, "-t", "1,2")
    assert got["bytes"] == 2 << 20  # Whole huge pages.
    assert [r["threads"] for r in got["results"]] == [1, 2]
    for row in got["results"]:
        assert row["read_bytes_per_s"] == max(row["samples_read"]) > 1e8
        assert row["multiply_adds_per_s"] == max(row["samples_dot"]) > 1e9
        assert len(row["samples_read"]) == 2


def test_bench_machine_look():
    processors = run_json("bench", "machine", "--look")["processors"]
    assert len(processors) == len(os.sched_getaffinity(0))
    for speeds in processors:
        assert list(speeds) == ["additions_per_s", "multiply_adds_per_s"] and min(speeds.values()) > 1e8
    head = run_ok("bench", "machine", "--look").stdout.splitlines()[0]
    assert head.split() == ["processor", "additions", "integer", "dot", "product"]


def test_bench_ops(store):
    quick = ["--min-time", 0.0001, "--model", store]
    names = "attention/kv8/16$|rms_norm/1$|quantize/a16/.*/1$|swiglu/1$|linear/q4_1/a8/head/2$"
    got = run_json("bench", "ops", "--filter", names, *quick)["benchmarks"]
    assert {b["name"].split("/")[0] for b in got} == {
        "attention",
        "rms_norm",
        "quantize",
        "swiglu",
        "linear",
    }
    assert all(b["real_time"] > 0 for b in got)
    refused("bench", "ops", "--filter", "nothing", *quick, code=lockstep.USAGE, naming="--filter")

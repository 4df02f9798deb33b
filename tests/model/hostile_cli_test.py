"""What a person can do wrong at the command line: an error that names the place and the fix, an
exit code by sysexits, and never a crash, a hang or half an answer.
"""

import os
import shutil
import signal
import subprocess

import pytest

from support import lockstep
from support.gguf_file import GgufFile
from support.lockstep import (
    BAD_DATA,
    NO_INPUT,
    TRY_AGAIN,
    UNAVAILABLE,
    USAGE,
    generate,
    refused,
    run,
    run_ok,
)
from support.random_model import Case

LEAF_BYTES = 1 << 20


@pytest.fixture
def store(small_model):
    return small_model[0]


@pytest.fixture
def source(small_model):
    return small_model[0].parent / "small.gguf"


def ids(*values):
    return ["--prompt-ids", ",".join(map(str, values))]


# Importing.


def test_missing_files_are_named(tmp_path):
    refused(
        "shard", tmp_path / "no.gguf", "--out", tmp_path / "out", code=NO_INPUT, naming="no.gguf"
    )
    refused("inspect", tmp_path / "nowhere", code=NO_INPUT, naming="nowhere")
    refused("run", "--model", tmp_path / "nowhere", *ids(1), code=NO_INPUT, naming="nowhere")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("keep", [0, 3, 11, 24, 200, 3000, 0.3, 0.9, -1])
def test_truncated_gguf_is_refused_and_leaves_nothing(source, tmp_path, keep):
    raw = source.read_bytes()
    (tmp_path / "cut.gguf").write_bytes(
        raw[: int(len(raw) * keep) if isinstance(keep, float) else keep]
    )
    refused(
        "shard", tmp_path / "cut.gguf", "--out", tmp_path / "out", code=BAD_DATA, naming="cut.gguf"
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut.gguf"]


@pytest.mark.parametrize(
    "change, naming",
    [
        ({"general.architecture": "mamba"}, "mamba"),
        ({"llama.attention.head_count": 0}, "head_count"),
        ({"llama.attention.head_count": 7}, "head_count"),
        ({"llama.block_count": 3}, "blk.2"),
        ({"llama.embedding_length": 2**31}, "embedding_length"),
        ({"llama.rope.dimension_count": 33}, "rope.dimension_count"),
        ({"tokenizer.ggml.pre": "klingon"}, "klingon"),
    ],
)
def test_file_that_does_not_fit_together_is_refused_by_name(source, tmp_path, change, naming):
    gguf = GgufFile.read(source)
    gguf.metadata.update(change)
    gguf.write(tmp_path / "odd.gguf")
    refused(
        "shard",
        tmp_path / "odd.gguf",
        "--out",
        tmp_path / "out",
        code=(BAD_DATA, USAGE),
        naming=naming,
    )
    assert not (tmp_path / "out").exists()


def test_missing_tensor_is_named(source, tmp_path):
    gguf = GgufFile.read(source)
    del gguf.tensors["blk.1.ffn_up.weight"]
    gguf.write(tmp_path / "odd.gguf")
    refused(
        "shard",
        tmp_path / "odd.gguf",
        "--out",
        tmp_path / "out",
        code=BAD_DATA,
        naming="blk.1.ffn_up.weight",
    )


def test_store_is_not_overwritten(store, source):
    before = (store / "manifest.json").read_bytes()
    refused("shard", source, "--out", store, code=(USAGE, 73), naming=store.name)
    assert (store / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    "flags",
    [
        ["--parts", 0],
        ["--parts", 5],
        ["--parts", 17],
        ["--activation-bits", 4],
        ["--kv-bits", 12],
        ["--file-bytes", 0],
        ["--parts", "two"],
    ],
)
def test_impossible_profile_is_refused(source, tmp_path, flags):
    refused("shard", source, "--out", tmp_path / "out", *flags, code=USAGE, naming=flags[0][2:])
    assert not (tmp_path / "out").exists()


# A store that is not what was written.


def flip(path, at):
    raw = bytearray(path.read_bytes())
    raw[at] ^= 0x40
    path.write_bytes(raw)


@pytest.fixture
def copied(store, tmp_path):
    shutil.copytree(store, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("place", [0.02, 0.4, 0.98])
def test_flipped_manifest_byte_is_refused_everywhere(copied, place):
    manifest = copied / "manifest.json"
    flip(manifest, int(manifest.stat().st_size * place))
    for command in (
        ["inspect", copied],
        ["inspect", copied, "--verify"],
        ["run", "--model", copied, *ids(1)],
    ):
        refused(*command, code=BAD_DATA, naming="manifest.json")


@pytest.mark.parametrize("place", [0, 0.1, 0.5, 0.9, 1])
def test_flipped_weight_byte_is_found_by_verify(copied, place):
    weights = copied / "model-00001.h5"
    flip(weights, min(int(weights.stat().st_size * place), weights.stat().st_size - 1))
    refused("inspect", copied, "--verify", code=BAD_DATA, naming=["model-00001.h5", "leaf"])


def test_missing_and_short_weights_are_named(copied):
    weights = copied / "model-00001.h5"
    os.truncate(weights, weights.stat().st_size - 1)
    refused("run", "--model", copied, *ids(1), code=BAD_DATA, naming="model-00001.h5")
    weights.unlink()
    refused("run", "--model", copied, *ids(1), code=(NO_INPUT, BAD_DATA), naming="model-00001.h5")


@pytest.fixture(scope="module")
def corrupted(tmp_path_factory):
    """The real model with one byte flipped in the middle of its last part: (directory, leaf)."""
    good = lockstep.smollm2()
    copy = tmp_path_factory.mktemp("corrupted") / "store"
    shutil.copytree(good, copy)
    weights = copy / "model-00001.h5"
    at = weights.stat().st_size - 3 * LEAF_BYTES // 2
    flip(weights, at)
    return copy, at // LEAF_BYTES


def test_run_names_file_and_leaf(corrupted):
    directory, leaf = corrupted
    done = refused(
        "run",
        "--model",
        directory,
        *ids(1, 2),
        "--max-tokens",
        2,
        "--ranks",
        9,
        code=BAD_DATA,
        naming=["model-00001.h5", "leaf", "rank 8"],
    )
    assert str(leaf) in done.stderr
    assert not any(f"rank {r}:" in done.stderr for r in range(8)), (
        "a rank that does not own the part failed"
    )


# Asking for what cannot be.


@pytest.mark.parametrize(
    "flags, naming",
    [
        (["--ranks", 0], "--ranks"),
        (["--ranks", 10], "parts"),
        (["--ranks", -1], "--ranks"),
        (["--ranks", "2x"], "--ranks"),
        (["--threads", 0], "--threads"),
        (["--weights", "1,1", "--ranks", 3], "weights"),
        (["--weights", "0,1", "--ranks", 2], "--weights"),
        (["--device", "tpu"], ["cpu:reference", "cpu:avx2", "auto"]),
        (["--max-tokens", 0], "--max-tokens"),
        (["--max-tokens", -3], "--max-tokens"),
        (["--chunk", 0], "--chunk"),
        (["--ctx-size", 513], "--ctx-size"),
        (["--temperature", "nan"], "--temperature"),
        (["--temperature", "inf"], "--temperature"),
        (["--temperature", -0.5], "--temperature"),
        (["--top-k", -1], "--top-k"),
        (["--top-p", 1.5], "--top-p"),
        (["--top-p", 0], "--top-p"),
        (["--min-p", 2], "--min-p"),
        (["--repetition-penalty", 0], "--repetition-penalty"),
        (["--seed", -1], "--seed"),
        (["--seed", 2**64], "--seed"),
        (["--stop", ""], "--stop"),
        (["--trace", "everything"], "--trace"),
        (["--no-such-flag"], "--no-such-flag"),
    ],
)
def test_wrong_value_is_refused_by_flag(store, flags, naming):
    done = refused("run", "--model", store, *ids(1, 2), *flags, code=USAGE, naming=naming)
    assert done.stdout == ""


@pytest.mark.parametrize(
    "prompt, naming",
    [
        ([], "--prompt"),
        (["--prompt", ""], "empty"),
        (["--prompt-ids", ""], "--prompt-ids"),
        (["--prompt-ids", "1,,2"], "--prompt-ids"),
        (["--prompt-ids", "1,-2"], "--prompt-ids"),
        (["--prompt-ids", "1,300"], "300"),
        (["--prompt-ids", "4294967296"], "--prompt-ids"),
        (["--prompt", "a", "--chat", "b"], "--chat"),
        (["--prompt-ids", "1", "--prompt", "b"], "--prompt"),
    ],
)
def test_prompt_that_is_none_is_refused(store, prompt, naming):
    refused("run", "--model", store, *prompt, code=USAGE, naming=naming)


def test_empty_and_missing_prompt_files(store, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    empty = ["--prompt-file", tmp_path / "empty.txt"]
    refused("run", "--model", store, *empty, code=(USAGE, BAD_DATA), naming="empty")
    missing = ["--prompt-file", tmp_path / "no.txt"]
    refused("run", "--model", store, *missing, code=NO_INPUT, naming="no.txt")


def test_context_limit(store):
    """A prompt that leaves no room is refused; an answer ends at the limit with `length`."""
    full = [i % 300 for i in range(512)]
    done = refused("run", "--model", store, *ids(*full), code=USAGE, naming="512")
    assert "context" in done.stderr
    refused("run", "--model", store, *ids(*full[:9]), "--ctx-size", 8, code=USAGE, naming="context")
    got = generate(store, prompt_ids=full[:9], ctx_size=12, max_tokens=50, ignore_eos=True)
    assert got["finish_reason"] == "length"
    assert got["prompt_tokens"] + got["completion_tokens"] == 12


def test_kv_memory_is_refused_before_it_is_allocated(tmp_path):
    """A context of 2^24 tokens of 32 KiB each is 512 GiB of keys and values; asked for less, the
    same model runs.
    """
    case = Case.behaving()
    case.head_size, case.heads, case.kv_heads, case.dim = 64, 16, 16, 1024
    case.ffn, case.layers, case.rotary, case.context, case.vocab = 32, 8, 64, 1 << 24, 40
    case.gguf().write(tmp_path / "long.gguf")
    store = lockstep.shard(tmp_path / "long.gguf", tmp_path / "store")
    asked = ["run", "--model", store, *ids(1, 2), "--max-tokens", 2]
    done = refused(
        *asked, "--ctx-size", 1 << 24, code=(USAGE, UNAVAILABLE, TRY_AGAIN), naming="--ctx-size"
    )
    assert any(unit in done.stderr for unit in ("GB", "GiB", "TB", "TiB", "bytes"))
    run_ok(*asked, "--ctx-size", 64)


def test_json_errors_are_json(store):
    done = run("run", "--model", store, *ids(1), "--ranks", 99, "--json")
    assert done.returncode == USAGE
    assert done.stderr.lstrip().startswith("{")


def test_full_disk_of_standard_output_is_an_error(store):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [str(lockstep.BINARY), "run", "--model", str(store), *ids(1, 2)],
            stdout=full,
            stderr=subprocess.PIPE,
            env=lockstep.environment(),
            timeout=60,
        )
    assert done.returncode == lockstep.IO_ERROR, done.stderr


# Ctrl-C.


def interrupt(command, env=None):
    """Sends SIGINT when the first text has come; (exit code, standard output, standard error)."""
    process = subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=lockstep.environment(env),
    )
    try:
        first = process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
        return process.returncode, first + rest, errors.decode()
    finally:
        process.kill()
        process.wait()


def endless():
    options = dict(prompt_ids=[504, 3575, 282], max_tokens=4000, ignore_eos=True)
    return ["run", "--model", lockstep.smollm2(), *lockstep.flags(**options)]


@pytest.mark.parametrize("ranks", [1, 3])
def test_ctrl_c_ends_with_the_text_so_far(ranks):
    command = [lockstep.BINARY, *endless(), "--ranks", ranks]
    code, text, errors = interrupt(command)
    assert code == 128 + signal.SIGINT, errors
    assert text, "the text so far is gone"


def test_ctrl_c_under_mpirun_ends_all_ranks():
    command = [*lockstep.mpirun(3), lockstep.BINARY, *endless()]
    code, text, errors = interrupt(command, lockstep.MPI_ENV)
    assert code != 0, errors
    assert text, "the text so far is gone"

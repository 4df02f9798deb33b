"""What nvcc made of the CUDA kernels: for one device in every run (preset cuda-sm90a), for all in `make test-long`."""
import collections
import os
import re
import subprocess
from pathlib import Path

import pytest

BUILD = Path(os.environ["LOCKSTEP_BUILD_DIR"])
ONE_DEVICE = BUILD / "cuda-sm90a" / "lockstep-cuda.so"
ALL_DEVICES = BUILD / "cuda" / "lockstep-cuda.so"
TOOLS = BUILD / "cuda-toolkit" / "nvidia" / "cu13" / "bin"
TARGETS = [pytest.param((ONE_DEVICE, "sm_90a"), id="sm_90a")] + [
    pytest.param((ALL_DEVICES, target), marks=pytest.mark.long, id=f"all_{target}")
    for target in ["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120a"]
]
MATMULS = ["linear_few_kernel", "linear_many_kernel", "16attention_kernel"]


def run(*command):
    environment = {**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def built(plugin):
    if not plugin.exists():
        pytest.skip(f"{plugin} is not built")
    return plugin


@pytest.fixture(scope="module", params=TARGETS)
def kernels(request):
    """Name of each kernel -> how often each instruction stands in it."""
    plugin, target = request.param
    listing = run("cuobjdump", "-sass", "-arch", target, built(plugin))
    found, counts = {}, None
    for line in listing.splitlines():
        if "Function :" in line:
            counts = found.setdefault(line.split(":")[1].strip(), collections.Counter())
        elif match := re.match(r"\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", line):
            counts[match.group(1).split(".")[0]] += 1
    return found


def test_every_kernel_is_there(kernels):
    for name in MATMULS + ["quantize_kernel", "prepare_attention_kernel", "attention_fold_kernel", "embed_kernel",
                           "permute_weights_kernel", "fold_kernel", "argmax_kernel", "rms_norm_kernel"]:
        assert any(name in kernel for kernel in kernels), name


def test_matmuls_use_the_instructions_that_are_meant(kernels):
    for name, counts in kernels.items():
        if any(matmul in name for matmul in MATMULS):
            assert counts["IMMA"] >= 4, name
            assert counts["LDGSTS"] >= 2, name


def test_every_kernel_may_begin_early_and_waits(kernels, request):
    target = request.node.callspec.params["kernels"][1]
    expected = 1 if int(re.search(r"\d+", target)[0]) >= 90 else 0
    for name, counts in kernels.items():  # Programmatic dependent launch: launch_dependents, wait.
        assert min(counts["PREEXIT"], 1) == expected and min(counts["ACQBULK"], 1) == expected, name


def test_nothing_is_spilled(kernels):
    assert {name: counts for name, counts in kernels.items() if counts["LDL"] + counts["STL"] > 0} == {}


def test_nothing_is_contracted_or_done_in_double_precision(kernels):
    for name, counts in kernels.items():
        assert counts["DFMA"] + counts["DMUL"] + counts["DADD"] == 0, name
        if "fold_kernel" in name and "attention" not in name:  # Products and sums, and no fma in its text.
            assert counts["FADD"] > 0 and counts["FFMA"] == 0, name


def test_nothing_is_approximated_but_the_seed_of_a_division_or_root(kernels):
    # Division, of integers too, and square root begin with MUFU.RCP and MUFU.RSQ; without them there is no MUFU.
    for name, counts in kernels.items():
        if "11fold_kernel" in name or "argmax" in name:
            assert counts["MUFU"] == 0, name


@pytest.mark.long
def test_the_plugin_is_small():
    assert built(ALL_DEVICES).stat().st_size <= 40 * 2**20


@pytest.mark.long
def test_there_is_code_for_later_devices():
    assert "ptx" in run("cuobjdump", "-lptx", built(ALL_DEVICES))

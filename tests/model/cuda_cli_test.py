"""What the command line says of CUDA devices: of those that are missing, and of the emulated one."""
import os
from pathlib import Path

import pytest

from support.lockstep import generate, refused, run_json, run_ok

BUILD = Path(os.environ["LOCKSTEP_BUILD_DIR"])
PLUGIN = BUILD / "cuda-sm90a" / "lockstep-cuda.so"
EMULATED = BUILD / "release" / "tests" / "kernels" / "cuda" / "lockstep-cuda.so"


@pytest.fixture
def store(small_model):
    return small_model[0]


@pytest.fixture
def no_driver():
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")


def on(device, plugin):
    return ["--device", device, "--cuda-plugin", plugin]


def test_cuda_without_its_library_is_refused_and_says_how_to_build_it(store):
    missing = "/nowhere/lockstep-cuda.so"
    refused("run", "--model", store, "--prompt-ids", "1", *on("cuda", missing), code=69,
            naming=(missing, "make cuda"))


def test_a_library_of_another_kind_is_refused(store, tmp_path):
    other = tmp_path / "lockstep-cuda.so"
    other.write_bytes(b"not a library")
    refused("run", "--model", store, "--prompt-ids", "1", *on("cuda", other), code=69, naming=(str(other),))


def test_cuda_without_a_driver_is_refused(store, no_driver):
    refused("run", "--model", store, "--prompt-ids", "1", *on("cuda", PLUGIN), code=69,
            naming=("no NVIDIA driver",))


def test_auto_without_a_driver_says_so_once_and_takes_the_processor(store, no_driver):
    found = run_ok("run", "--model", store, "--prompt-ids", "1,2", "--max-tokens", 2, "--ranks", 2, "--json",
                   *on("auto", PLUGIN))
    lines = [line for line in found.stderr.splitlines() if "NVIDIA" in line]
    assert len(lines) == 1 and "device_cpu" in lines[0]
    assert '"cpu:' in found.stdout


def test_doctor_says_what_is_missing(no_driver):
    first = run_json("doctor", "--cuda-plugin", PLUGIN)["devices"][0]
    assert first["name"] == "cuda" and not first["available"] and "no NVIDIA driver" in first["reason"]


def test_doctor_describes_a_device():
    devices = run_json("doctor", "--cuda-plugin", EMULATED)["devices"]
    assert devices[0]["name"] == "cuda:0" and devices[0]["available"]
    assert "emulated, compute capability 9.0" in devices[0]["reason"] and "chosen by `auto`" in devices[0]["reason"]
    assert not any("chosen" in device["reason"] for device in devices[1:])


@pytest.mark.parametrize("graphs", ["on", "off"])
def test_a_device_gives_the_processors_hashes(store, graphs):
    wanted = generate(store, prompt_ids=[1, 2, 3], max_tokens=4)
    got = generate(store, *on("auto", EMULATED), "--cuda-graphs", graphs, prompt_ids=[1, 2, 3], max_tokens=4)
    assert got["device"] == "cuda" and wanted["device"].startswith("cpu:")
    assert [got[key] for key in ("token_ids", "output_hash", "result_hash")] == [
        wanted[key] for key in ("token_ids", "output_hash", "result_hash")]


"""What the compiler made of the kernels, read with objdump; and the long run of their random tests."""
import collections
import os
import pathlib
import re
import subprocess

import pytest

TEST = pathlib.Path(os.environ["LOCKSTEP_BUILD_DIR"]) / "release/tests/kernels_test"
# Functions that may use more than the baseline: those of a folder with flags of its own.
OWN_FLAGS = re.compile(r"kernels::(reference|avx2|avx512vnni)::|kernels::(\(anonymous namespace\)::)?canonical_exp"
                       r"")


class Instruction(str):
    """One line of a listing, and its address."""

    def __new__(cls, address, text):
        made = super().__new__(cls, text)
        made.address = address
        return made


@pytest.fixture(scope="module")
def functions():
    """Name of each function of the kernels' test -> its instructions."""
    if not TEST.exists():
        pytest.fail(f"{TEST} is missing: run `make build`")
    listing = subprocess.run(["objdump", "-d", "-C", "--no-show-raw-insn", "-M", "intel", TEST],
                             check=True, capture_output=True, text=True).stdout
    found, name = collections.defaultdict(list), ""
    for line in listing.splitlines():
        if line.endswith(">:"):
            name = line[line.index("<") + 1:-2]
        elif "\t" in line:
            address, text = line.split("\t")[:2]
            found[name].append(Instruction(int(address.strip(" :"), 16), text))
    return found


def of(functions, namespace):
    return {name: code for name, code in functions.items() if f"kernels::{namespace}::" in name}


def uses(code, word):
    return sum(word in instruction for instruction in code)


def loops(code):
    """The instructions from the first target of a jump backwards to the last such jump."""
    jumps = [(i.address, int(i.split()[1], 16)) for i in code if re.match(r"j\w+ +[0-9a-f]+\b", i)]
    back = [(address, target) for address, target in jumps if code[0].address <= target <= address]
    begin, end = min(target for _, target in back), max(address for address, _ in back)
    return [i for i in code if begin <= i.address <= end]


def on_stack(whole, part):
    """What in `part` touches the stack of the function `whole`."""
    frame = r"\[r[sb]p" if any(re.fullmatch(r"mov +rbp,rsp", i) for i in whole) else r"\[rsp"
    return [i for i in part if re.search(frame, i) or re.match(r"(push|pop|call)\b", i)]


def test_avx512vnni_multiplies_with_integer_dot_products(functions):
    tiles = {name: code for name, code in of(functions, "avx512vnni").items()
             if "::tile<" in name and "Zmm" in name}
    assert tiles
    assert all(uses(code, "vpdpbusd") >= 8 for code in tiles.values())


def test_avx2_multiplies_bytes_and_words(functions):
    code = sum(of(functions, "avx2").values(), [])
    assert uses(code, "vpmaddubsw") and uses(code, "vpmaddwd")
    assert not uses(code, "zmm")


def test_avx512vnni_keeps_its_sums_in_registers(functions):
    for name, code in of(functions, "avx512vnni").items():
        if "Zmm" in name:
            assert not [i for i in code if "zmm" in i and "[rsp" in i], name


def test_avx2_decodes_with_its_sums_in_registers(functions):
    tiles = {name: code for name, code in of(functions, "avx2").items()
             if "panel_times_tokens" in name and ", 1>" in name}
    assert tiles
    for name, code in tiles.items():
        assert not [i for i in code if "ymm" in i and "[rsp" in i], name


def test_avx2_multiplies_several_tokens_without_the_stack(functions):
    tiles = {name: code for name, code in of(functions, "avx2").items() if "::add_groups<" in name}
    assert len(tiles) == 28  # Three formats with 16 bits and one with 8, four to ten tokens.
    for name, code in tiles.items():
        inner = loops(code)
        assert uses(inner, "vpmaddwd") == uses(code, "vpmaddwd") >= 64, name
        assert not on_stack(code, inner), name


def test_avx2_attention_keeps_its_sums_in_registers(functions):
    tiles = {name: code for name, code in of(functions, "avx2").items()
             if re.search(r"(score_tile|weigh_channels)<", name)}
    assert len(tiles) == 16  # Two widths of codes, one to four queries.
    for name, code in tiles.items():
        assert uses(code, "vpmaddwd") and not [i for i in code if "ymm" in i and "[rsp" in i], name


def test_only_kernels_use_more_than_the_baseline(functions):
    """A function of a shared header, compiled once for AVX, must not become everyone's copy."""
    wide = re.compile(r"\b[yz]mm\d")
    astray = [name for name, code in functions.items()
              if any(wide.search(i) for i in code) and not OWN_FLAGS.search(name)]
    assert not astray


@pytest.mark.long
def test_random_shapes_equal_the_reference_in_a_long_run():
    environment = {**os.environ, "LOCKSTEP_TEST_SCALE": "50"}
    subprocess.run([TEST, "--gtest_brief=1", "--gtest_filter=*EqualsReference*"], check=True, env=environment)


@pytest.mark.long
def test_every_exponential_is_monotone_and_accurate():
    environment = {**os.environ, "LOCKSTEP_TEST_SCALE": "10000"}
    subprocess.run([TEST, "--gtest_brief=1", "--gtest_filter=CanonicalExp.*"], check=True, env=environment)

"""Every header compiles alone.

Where a header has a source file of the same name, that file includes it first and the release build, which has no
precompiled headers in the libraries, is the proof; the others are compiled here.
"""
import json
import shlex

import pytest
from tree import BUILD, ROOT, PassCache, complaint, each, files, quoted_includes, version

COMPILER = "g++"
# Enough for headers that use intrinsics or speak to nvcc as well (#pragma unroll); no code is generated.
FLAGS = ["-std=gnu++20", "-fsyntax-only", "-x", "c++", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas",
         "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mavx2", "-mfma",
         "-mf16c", f"-I{ROOT}"]


@pytest.fixture(scope="module")
def system_includes():
    """Include folders of the libraries, from the compile commands of the lint configuration."""
    commands = json.loads((BUILD / "lint" / "compile_commands.json").read_text())
    flags = {}
    for entry in commands:
        words = shlex.split(entry["command"])
        flags |= {words[i + 1]: None for i, word in enumerate(words) if word == "-isystem"}
    return [flag for folder in flags for flag in ("-isystem", folder)]


def is_proven_by_its_source(header):
    for suffix in (".cc", ".cu"):
        source = ROOT / header.with_suffix(suffix)
        if source.is_file():
            includes = quoted_includes(source.read_text(encoding="utf-8"))
            return bool(includes) and includes[0] == str(header)
    return False


def compile_alone(header, flags):
    # As an include: a header as the main file would be told that `#pragma once` stands in it.
    return complaint([COMPILER, *flags, "-include", str(header), "/dev/null"])


def test_headers_compile_alone(system_includes):
    flags = FLAGS + ["-DOMPI_SKIP_MPICXX"] + system_includes
    cache = PassCache("headers", version(COMPILER))
    # Headers below tests/ other than support may be data of one test.
    headers = [path for path in files(".h") if not is_proven_by_its_source(path)]
    check = lambda header: cache.check(header, flags, lambda: compile_alone(header, flags))
    assert each(check, headers) == []


def test_a_source_includes_its_own_header_first():
    late = []
    for header in files(".h"):
        source = ROOT / header.with_suffix(".cc")
        if source.is_file() and header.parts[0] != "tests" and not is_proven_by_its_source(header):
            late.append(str(header))
    assert late == []


def test_a_header_that_needs_another_is_found(tmp_path):
    header = tmp_path / "needs.h"
    header.write_text("#pragma once\ninline std::string name() { return {}; }\n")
    assert "std" in compile_alone(header, FLAGS)
    header.write_text("#pragma once\n#include <string>\ninline std::string name() { return {}; }\n")
    assert compile_alone(header, FLAGS) is None

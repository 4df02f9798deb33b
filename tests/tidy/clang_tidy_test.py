"""clang-tidy has nothing to say: in `make test-long` the checks of .clang-tidy over the libraries, and the static
analyzer over everything. Six seconds a file are too many for `make test`, which only shows that a mistake is found."""
import json
import shutil

import pytest
from tree import BUILD, ROOT, PassCache, complaint, each, version

TOOL = "clang-tidy-16"
DATABASE = BUILD / "lint"


def sources():
    """(path, command) of every file that the lint configuration compiles."""
    entries = json.loads((DATABASE / "compile_commands.json").read_text())
    paths = {entry["file"]: entry["command"] for entry in entries}
    inside = {p: c for p, c in paths.items() if p.startswith(f"{ROOT}/") and not p.startswith(f"{BUILD}/")}
    return [(path[len(str(ROOT)) + 1 :], command) for path, command in sorted(inside.items())]


def tidy(path, options=()):
    return complaint([TOOL, "--quiet", "-p", str(DATABASE), *options, str(path)])


def complaints(chosen, options=()):
    cache = PassCache("clang-tidy", version(TOOL), (ROOT / ".clang-tidy").read_text(), options)
    return each(lambda one: cache.check(one[0], [one[1]], lambda: tidy(one[0], options)), chosen)


@pytest.mark.long
def test_libraries_are_clean():
    chosen = [one for one in sources() if not one[0].startswith("tests/")]
    assert len(chosen) > 20
    found = complaints(chosen)
    assert not found, "\n".join(found)


@pytest.mark.long
def test_everything_is_clean_under_the_static_analyzer():
    found = complaints(sources(), ("--checks=clang-analyzer-*,-clang-analyzer-osx*",))
    assert not found, "\n".join(found)


def test_a_mistake_is_found(tmp_path):
    shutil.copy(ROOT / ".clang-tidy", tmp_path)
    source = tmp_path / "a.cc"
    run = lambda: complaint([TOOL, "--quiet", str(source), "--", "-std=c++20"])
    source.write_text("int Get(const int* from) { return from == 0 ? 1 : *from; }\n")
    assert "readability-identifier-naming" in run() and "modernize-use-nullptr" in run()
    source.write_text("int get(const int* from) { return from == nullptr ? 1 : *from; }\n")
    assert run() is None

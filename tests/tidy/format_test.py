"""Sources are formatted as .clang-format says."""
import shutil

from tree import ROOT, complaint, each, files

TOOL = "clang-format-16"


def check(paths):
    return complaint([TOOL, "--dry-run", "-Werror", *map(str, paths)])


def test_sources_are_formatted():
    paths = files(".h", ".cc", ".cu")
    assert len(paths) > 50
    assert each(check, [paths[i : i + 16] for i in range(0, len(paths), 16)]) == []


def test_a_badly_formatted_file_is_found(tmp_path):
    shutil.copy(ROOT / ".clang-format", tmp_path)
    source = tmp_path / "a.cc"
    source.write_text("int  f( ) {return 1;}\n")
    assert "clang-format-violations" in check([source])
    source.write_text("int f() { return 1; }\n")
    assert check([source]) is None

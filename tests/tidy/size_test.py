"""Files and lines stay readable: at most 600 lines a file, 100 columns a line of code, 120 of anything else."""
import unicodedata

from tree import ROOT, files

CODE = {".h": 100, ".cc": 100, ".cu": 100}
OTHER = {".py": 120, ".cmake": 120, ".sh": 120}
MAX_LINES = 600


def columns(line):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def faults(name, text, max_columns):
    lines = text.split("\n")
    found = []
    if len(lines) - 1 > MAX_LINES:
        found.append(f"{name}: {len(lines) - 1} lines, at most {MAX_LINES}")
    for number, line in enumerate(lines, 1):
        if columns(line) > max_columns and "http" not in line and "R\"" not in line:
            found.append(f"{name}:{number}: {columns(line)} columns, at most {max_columns}")
    return found


def test_files_stay_readable():
    limits = CODE | OTHER
    paths = files(*limits)
    assert len(paths) > 50
    texts = [(path, (ROOT / path).read_text(encoding="utf-8")) for path in paths]
    assert [f for path, text in texts for f in faults(path, text, limits[path.suffix])] == []


def test_a_long_file_and_a_long_line_are_found():
    assert faults("a.cc", "x\n" * 600, 100) == []
    assert faults("a.cc", "x\n" * 601, 100) == ["a.cc: 601 lines, at most 600"]
    assert faults("a.cc", "x" * 100 + "\n", 100) == []
    assert faults("a.cc", "\n" + "x" * 101, 100) == ["a.cc:2: 101 columns, at most 100"]

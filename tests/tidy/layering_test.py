"""The table "Folders" of the architecture, as a test of every include and of the link graph of CMake.

Depth is privacy: a header at a folder's root is public, one in a subfolder is private to the folder.
"""
import re
from pathlib import Path

from tree import ROOT, files, quoted_includes

MAY_INCLUDE = {
    "base": set(),
    "kernels": {"base"},
    "sharding": {"base"},
    "scheduler": {"base", "sharding"},
    "worker": {"base", "kernels", "sharding", "scheduler"},
    "chainbridge": {"base", "scheduler"},
    "cli": {"base", "kernels", "sharding", "scheduler", "worker", "chainbridge"},
}
MAY_INCLUDE["tests"] = set(MAY_INCLUDE) | {"tests"}


def violation(includer, included, exists):
    """What is wrong with `includer` including "included", or None."""
    path = Path(included)
    folder, target = includer.parts[0], path.parts[0]
    if not exists or target not in MAY_INCLUDE:
        return f"{includer}: \"{included}\" is no path from the repository root"
    if target != folder and target not in MAY_INCLUDE.get(folder, set()):
        return f"{includer}: {folder}/ may not include {target}/ (\"{included}\")"
    if len(path.parts) > 2 and target != folder and folder != "tests":
        return f"{includer}: \"{included}\" is private to {target}/"
    return None


def violations(root, paths):
    found = []
    for path in paths:
        for included in quoted_includes((root / path).read_text(encoding="utf-8")):
            found.append(violation(path, included, (root / included).is_file()))
    return [one for one in found if one]


def test_includes_follow_the_table():
    paths = files(".h", ".cc", ".cu", ".cuh")
    assert len(paths) > 50
    assert violations(ROOT, paths) == []


def test_cmake_links_only_what_the_table_allows():
    for folder in set(MAY_INCLUDE) - {"tests"}:
        text = (ROOT / folder / "CMakeLists.txt").read_text(encoding="utf-8")
        linked = {name for name in re.findall(r"\blockstep_(\w+)", text) if name in MAY_INCLUDE}
        assert linked - {folder} <= MAY_INCLUDE[folder], folder


def test_every_folder_with_sources_is_in_the_table():
    assert {path.parts[0] for path in files(".h", ".cc", ".cu")} <= set(MAY_INCLUDE)


def test_the_table_has_no_cycle():
    done = []
    while len(done) < len(MAY_INCLUDE):
        ready = [f for f in MAY_INCLUDE if f not in done and MAY_INCLUDE[f] - {f} <= set(done)]
        assert ready, "cycle"
        done += ready


def test_a_forbidden_include_is_found(tmp_path):
    sources = {
        "base/result.h": "",
        "sharding/store.h": '#include "base/result.h"\n',
        "sharding/tokenizer/bpe.h": '#include "sharding/store.h"\n',
        "sharding/private.cc": '#include "sharding/tokenizer/bpe.h"\n#include <vector>\n',
        "tests/sharding/bpe_test.cc": '#include "sharding/tokenizer/bpe.h"\n',
        "base/up.cc": '  #  include "sharding/store.h"\n',
        "scheduler/peeks.cc": '#include "sharding/tokenizer/bpe.h"\n',
        "sharding/relative.cc": '#include "store.h"\n',
        "sharding/tests.cc": '#include "tests/sharding/bpe_test.cc"\n',
    }
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert violations(tmp_path, [Path(name) for name in sources]) == [
        'base/up.cc: base/ may not include sharding/ ("sharding/store.h")',
        'scheduler/peeks.cc: "sharding/tokenizer/bpe.h" is private to sharding/',
        'sharding/relative.cc: "store.h" is no path from the repository root',
        'sharding/tests.cc: sharding/ may not include tests/ ("tests/sharding/bpe_test.cc")',
    ]

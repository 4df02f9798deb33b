"""No file names a folder of one machine or the host of a package registry: a checkout works anywhere, with the
registries that its user has set up."""
import re

from tree import ROOT, files

FOLDERS = ["work", "root", "tmp", "home/[a-z]", "Users/[a-z]", "mnt/[a-z]"]
HOSTS = ["pypi", "pythonhosted", "npmjs", "crates", "debian", "yarnpkg", "golang", "rubygems", "artifactory"]
PATTERN = re.compile(
    r"(?<![\w./$})*-])/(?:%s)(?=[/\"'\s:;),]|$|\b/)" % "|".join(FOLDERS)
    + r"|\b[\w.-]*(?:%s)[\w-]*\.(?:org|com|io|net|dev)\b" % "|".join(HOSTS),
    re.MULTILINE | re.IGNORECASE,
)


def faults(name, text):
    return [f"{name}:{text.count(chr(10), 0, m.start()) + 1}: {m.group()}" for m in PATTERN.finditer(text)]


def test_no_file_names_a_machine_or_a_registry():
    found = []
    for path in files():
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # Seeds of fuzz targets, images.
        found += faults(path, text)
    assert found == []


def test_a_path_and_a_host_are_found():
    slash, dot = "/", "."
    assert faults("a", f"x\n open('{slash}work/main')") == [f"a:2: {slash}work"]
    assert faults("a", f"{slash}root/x {slash}tmp/y") == [f"a:1: {slash}root", f"a:1: {slash}tmp"]
    assert faults("a", f"https:{slash}{slash}pypi{dot}org/simple") == [f"a:1: pypi{dot}org"]
    assert faults("a", f"registry{dot}npmjs{dot}org") == [f"a:1: registry{dot}npmjs{dot}org"]
    assert faults("a", "build/work/x ../root/y the/tmp/z $PWD/tmp/x a registry/root") == []

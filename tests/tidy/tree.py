"""The files of the project, as the tidy tests see them."""
import concurrent.futures
import hashlib
import os
import re
import subprocess
from pathlib import Path

ROOT = Path(os.environ.get("LOCKSTEP_SOURCE_DIR", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("LOCKSTEP_BUILD_DIR", ROOT / "build"))
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def files(*suffixes, root=ROOT):
    """Tracked and new files that git does not ignore, relative to the root, with one of the suffixes (or any)."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.split("\0")
    paths = sorted(Path(name) for name in set(names) if name)
    return [path for path in paths if (not suffixes or path.suffix in suffixes) and (root / path).is_file()]


def quoted_includes(text):
    return [name for kind, name in INCLUDE.findall(text) if kind == '"']


def closure(path, root=ROOT):
    """The file and all files of the project that it includes, directly or not."""
    seen, open_paths = set(), [Path(path)]
    while open_paths:
        at = open_paths.pop()
        if at in seen or not (root / at).is_file():
            continue
        seen.add(at)
        open_paths += [Path(name) for name in quoted_includes((root / at).read_text(encoding="utf-8"))]
    return sorted(seen)


def each(function, items):
    """function(item) for all items, as many at a time as there are processors; what was not None, in order."""
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return [result for result in pool.map(function, items) if result is not None]


class PassCache:
    """Remembers what has passed: a check is done once for the same bytes of file, headers, flags and tool."""

    def __init__(self, name, *salt):
        self.folder = BUILD / "tidy" / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.salt = "\0".join(map(str, salt))

    def key(self, path, flags=()):
        digest = hashlib.sha256(self.salt.encode())
        digest.update("\0".join(map(str, flags)).encode())
        for part in closure(path):
            digest.update(b"\0" + str(part).encode() + b"\0" + (ROOT / part).read_bytes())
        return self.folder / digest.hexdigest()

    def check(self, path, flags, run):
        """What `run()` complains about, or None; not run again once it has passed."""
        key = self.key(path, flags)
        if key.exists():
            return None
        complaint = run()
        if complaint is None:
            key.touch()
        return complaint


def version(tool):
    return subprocess.run([tool, "--version"], check=True, capture_output=True, text=True).stdout


def complaint(command, cwd=ROOT):
    """The output of a command that failed, or None."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    return None if done.returncode == 0 else f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"

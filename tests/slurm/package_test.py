"""What `cmake --install` and the .deb files put where, and that it runs from there."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support import lockstep

BUILD = Path(os.environ.get("LOCKSTEP_BUILD_DIR") or lockstep.REPOSITORY / "build") / "release"
KIT = {"prolog.sh", "epilog.sh", "sweep_shm.sh", "health_check.sh", "serve.sbatch", "batch.sbatch", "bench.sbatch",
       "site.toml", "slurm.conf.fragment", "job_submit.lua", "modulefile.lua", "lockstep-gateway.service",
       "grafana-dashboard.json", "README.md"}
COMPLETIONS = ("bash-completion/completions/lockstep", "zsh/vendor-completions/_lockstep",
               "fish/vendor_completions.d/lockstep.fish")


def check_tree(prefix):
    """An installation below `prefix`, run with nothing of this environment but the way to programs of the system."""
    def run(*words):
        done = subprocess.run([prefix / "bin/lockstep", *words], env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
                              cwd="/", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout
    assert run("--version").startswith("lockstep ")
    assert "cpu" in run("doctor")
    assert "#SBATCH --nodes=1\n" in run("submit", "--model", "/m", "--dry-run")  # Its templates are in it.
    assert {path.name for path in (prefix / "share/lockstep/slurm").iterdir()} == KIT
    assert os.access(prefix / "share/lockstep/slurm/epilog.sh", os.X_OK)
    for path in COMPLETIONS:
        assert (prefix / "share" / path).stat().st_size > 1000
    pages = {path.name.removesuffix(".gz") for path in (prefix / "share/man").rglob("lockstep*")}
    names = {f"{name}.1" for name in run("manual", "names").split()}
    assert pages == names | {"lockstep-site.toml.5", "lockstep-slurm.8"}


@pytest.fixture(scope="module")
def built():
    if not (BUILD / "manual/made.stamp").exists():
        pytest.skip(f"no manual pages in {BUILD}: run `make build`")
    return BUILD


def test_an_installed_tree_is_whole(built, tmp_path):
    subprocess.run(["cmake", "--install", built, "--prefix", tmp_path], check=True, capture_output=True)
    check_tree(tmp_path)


@pytest.mark.long
def test_the_packages_are_whole(built, tmp_path):
    for program in ("cpack", "dpkg-deb", "dpkg-shlibdeps"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program}")
    done = subprocess.run(["cpack", "--config", built / "CPackConfig.cmake", "-B", tmp_path], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    packages = {path.name.split("_")[0]: path for path in tmp_path.glob("*.deb")}
    assert set(packages) == {"lockstep", "lockstep-slurm", "lockstep-doc"}
    for path in packages.values():
        subprocess.run(["dpkg-deb", "-x", path, tmp_path / "root"], check=True)
    check_tree(tmp_path / "root/usr")
    depends = subprocess.run(["dpkg-deb", "-f", packages["lockstep"], "Depends"], check=True, capture_output=True,
                             text=True).stdout
    assert "libopenmpi3" in depends and "libzmq5" in depends

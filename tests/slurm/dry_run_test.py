"""Job scripts: the goldens, shellcheck, what a site may say, `sbatch --test-only`."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support import lockstep

GOLDEN = Path(__file__).parent / "golden"
SLURM = lockstep.REPOSITORY / "slurm"
CASES = {
    "one_rank": ["--model", "/models/m", "--time", "2:00:00"],
    "three_nodes": ["--model", "/models/m", "--nodes", "3", "--ranks", "2,1", "--time", "1-00:00:00", "--account", "a",
                    "--partition", "p", "--threads", "8", "--sbatch", "--exclusive --licenses=x"],
    "gpus": ["--model", "/models/m", "--ranks", "8", "--replicas", "2", "--ranks-per-node", "8", "--gpus-per-rank",
             "1", "--cpus-per-rank", "12", "--mem", "0", "--device", "cuda", "--no-successor"],
    "batch": ["--model", "/models/m", "--batch", "/in/it's.jsonl", "--out", "/out", "--shards", "16", "--ranks", "2"],
}


def render(tmp_path, *words, site=None, check=True):
    env = {"HOME": "/h", "LOCKSTEP_SITE": str(tmp_path / "site.toml")}
    (tmp_path / "site.toml").write_text(site or "")
    done = lockstep.run("submit", *words, "--dry-run", env=env)
    assert not check or done.returncode == 0, done.stderr
    return done


def portable(text):
    """The program's own path and version depend on the build."""
    text = re.sub(r"(?m)^program=.*$", "program=/opt/lockstep/bin/lockstep", text)
    return re.sub(r"(?m)^# Lockstep [0-9.]+,", "# Lockstep VERSION,", text)


@pytest.mark.parametrize("name", CASES)
def test_a_script_is_its_golden(tmp_path, name):
    text = portable(render(tmp_path, *CASES[name]).stdout)
    golden = GOLDEN / f"{name}.sbatch"
    if "LOCKSTEP_WRITE_GOLDENS" in os.environ:
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck")
def test_every_script_passes_shellcheck():
    scripts = [*GOLDEN.glob("*.sbatch"), *(path for path in SLURM.rglob("*") if path.is_file() and
                                           path.name not in ("serve.sbatch", "batch.sbatch") and
                                           path.read_bytes()[:11] == b"#!/bin/bash")]
    assert len(scripts) >= len(CASES) + 1
    done = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_site_gives_defaults_and_forbids(tmp_path):
    site = """partition = "gpu"\nrequired = "--exclusive"\nforbidden = ["--gres", "--nodelist"]
setup = "module load x"
"""
    text = render(tmp_path, "--model", "/m", site=site).stdout
    assert "#SBATCH --partition=gpu\n" in text and "#SBATCH --exclusive\n" in text and "\nmodule load x\n" in text
    assert "--partition=mine" in render(tmp_path, "--model", "/m", "--partition", "mine", site=site).stdout
    refused = render(tmp_path, "--model", "/m", "--sbatch", "--nodelist=n1", site=site, check=False)
    assert refused.returncode == lockstep.USAGE and "this site forbids it" in refused.stderr
    unknown = render(tmp_path, "--model", "/m", site='partitoin = "x"\n', check=False)
    assert unknown.returncode == lockstep.USAGE and "partitoin" in unknown.stderr


def test_a_value_cannot_leave_its_line(tmp_path):
    for words in (["--account", "a b"], ["--name", "x\n#SBATCH --uid=0"], ["--sbatch", "a'b"]):
        refused = render(tmp_path, "--model", "/m", *words, check=False)
        assert refused.returncode == lockstep.USAGE, words
    marker = tmp_path / "made"
    text = render(tmp_path, "--model", f"/m'; touch {marker}; '").stdout
    line = next(line for line in text.splitlines() if line.startswith("model="))
    subprocess.run(["bash", "-c", line], check=True)
    assert not marker.exists()


def test_the_admins_template_wins(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "serve.sbatch").write_text("#!/bin/bash\n{{directives}}\necho {{model}}\n")
    text = render(tmp_path, "--model", "/m", site=f'templates = "{own}"\n').stdout
    assert text.endswith("\necho /m\n")
    (own / "serve.sbatch").write_text("#!/bin/bash\necho {{modle}}\n")
    refused = render(tmp_path, "--model", "/m", site=f'templates = "{own}"\n', check=False)
    assert refused.returncode == lockstep.USAGE and "line 2" in refused.stderr and "modle" in refused.stderr


def test_sbatch_takes_every_script(lab, tmp_path):
    jobs = {"service": ["--nodes", "3", "--ranks", "2,1", "--time", "1-00:00:00", "--sbatch", "--exclusive"],
            "gpus": ["--nodes", "2", "--ranks", "2", "--replicas", "2", "--gpus-per-rank", "1", "--cpus-per-rank", "2"],
            "array": ["--batch", "/in.jsonl", "--out", "/out", "--shards", "16", "--ranks", "2", "--time", "10"]}
    for name, words in jobs.items():
        script = tmp_path / f"{name}.sbatch"
        script.write_text(render(tmp_path, "--model", "/m", *words).stdout)
        lab.run("sbatch", "--test-only", script)
    lab.run("sbatch", "--test-only", SLURM / "bench.sbatch")

"""The admin kit: manual pages, completions, scripts, the dashboard, the installed tree."""
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from support import lockstep

SLURM = lockstep.REPOSITORY / "slurm"


def have(*programs):
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"no {program}")


def manual(*words):
    return lockstep.run_ok("manual", *words).stdout


def check_page(text, path):
    path.write_text(text)
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True)
    assert done.stdout + done.stderr == "", done.stdout
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", path], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


def test_manual_pages_render_without_warnings(tmp_path):
    have("mandoc", "groff")
    names = manual("names").split()
    assert "lockstep-serve" in names and "lockstep-batch-merge" in names
    for name in names:
        shown = check_page(manual("page", name.removeprefix("lockstep").removeprefix("-")), tmp_path / name)
        assert name in shown
    for page in (SLURM / "man").iterdir():
        check_page(page.read_text(), tmp_path / page.name)


def test_pages_have_every_option():
    for name in ("serve", "submit", "worker"):
        page = manual("page", name).replace("\\-", "-")
        shown = lockstep.run_ok(name, "--help").stdout
        for option in set(re.findall(r"(?m)^  (--[a-z-]+)", shown)) - {"--config"}:
            assert f"\\fB{option}\\fR" in page, option


def test_completions_are_scripts_of_their_shells(tmp_path):
    for shell in ("bash", "zsh", "fish"):
        if shutil.which(shell) is None:
            continue
        path = tmp_path / shell
        path.write_text(manual(shell))
        subprocess.run([shell, "-n", path], check=True)
        assert "batch run" in path.read_text()
    words = "COMP_WORDS=(lockstep batch m); COMP_CWORD=2; _lockstep; printf '%s\\n' \"${COMPREPLY[@]}\""
    done = subprocess.run(["bash", "-c", f". {tmp_path / 'bash'}; {words}"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["merge"]
    words = "COMP_WORDS=(lockstep serve --replica-p); COMP_CWORD=2; _lockstep; printf '%s\\n' \"${COMPREPLY[@]}\""
    done = subprocess.run(["bash", "-c", f". {tmp_path / 'bash'}; {words}"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["--replica-port"]


def test_the_site_file_has_every_name_and_its_page_too(tmp_path):
    text = (SLURM / "site.toml").read_text()
    names = set(tomllib.loads(text))
    page = (SLURM / "man/lockstep-site.toml.5").read_text()
    source = (lockstep.REPOSITORY / "cli/slurm/site.cc").read_text()
    known = set(re.search(r"kNames\[\] = \{(.*?)\};", source, re.DOTALL).group(1).replace('"', "").replace(",", " ")
                .replace("-", "_").split())
    assert names == known
    for name in names:
        assert re.search(rf"\b{name}\b", page), name
    done = lockstep.run("submit", "--model", "/m", "--dry-run", env={"LOCKSTEP_SITE": str(SLURM / "site.toml")})
    assert done.returncode == 0, done.stderr


def test_the_sweep_takes_what_nobody_uses(tmp_path):
    for name in ("vader_segment.n1.0", "osc_rdma.n1.1", "sm_segment.x", "of_another_program"):
        (tmp_path / name).write_bytes(b"x")
    with open(tmp_path / "osc_rdma.n1.1", "rb"):
        subprocess.run([SLURM / "sweep_shm.sh"], env={**os.environ, "SHM_FOLDER": str(tmp_path)}, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["of_another_program", "osc_rdma.n1.1"]


def test_the_health_check_says_what_is_wrong(tmp_path):
    check = SLURM / "health_check.sh"
    done = subprocess.run([check], env={**os.environ, "LOCKSTEP": str(lockstep.BINARY)}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    done = subprocess.run([check], env={**os.environ, "LOCKSTEP": "/bin/false"}, capture_output=True, text=True)
    assert done.returncode == 1 and "ends with status 1" in done.stdout


def test_the_dashboard_asks_for_metrics_that_there_are():
    dashboard = json.loads((SLURM / "grafana-dashboard.json").read_text())
    source = (lockstep.REPOSITORY / "scheduler/gateway/api/report_body.cc").read_text()
    known = set(re.findall(r'"(lockstep_[a-z_]+)"', source)) | {
        "lockstep_" + name for name in re.findall(r'p \+ "([a-z_]+)"', source)}
    asked = {name for panel in dashboard["panels"] for target in panel["targets"]
             for name in re.findall(r"lockstep_[a-z_]+", target["expr"])}
    assert asked and {re.sub(r"_(total|bucket)$", "", name) for name in asked} <= known


def test_the_sample_of_job_submit_lua_runs(tmp_path):
    have("lua5.3")
    script = tmp_path / "run.lua"
    script.write_text(f"""
slurm = {{SUCCESS = 0, ERROR = -1, log_user = function(text) print(text) end}}
dofile("{SLURM / 'job_submit.lua'}")
local ours = "#!/bin/bash\\n# made by `lockstep submit`"
assert(slurm_job_submit({{script = "#!/bin/bash"}}, nil, 0) == 0)
assert(slurm_job_submit({{script = ours, warn_signal = 10, requeue = 1}}, nil, 0) == 0)
assert(slurm_job_submit({{script = ours, warn_signal = 0, requeue = 1}}, nil, 0) == -1)
assert(slurm_job_submit({{script = ours, warn_signal = 10, requeue = 0}}, nil, 0) == -1)
""")
    done = subprocess.run(["lua5.3", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--no-requeue" in done.stdout


def test_the_unit_file_is_sound(tmp_path):
    have("systemd-analyze")
    unit = tmp_path / "lockstep-gateway.service"
    unit.write_text((SLURM / "lockstep-gateway.service").read_text().replace("/usr/bin/lockstep", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert "lockstep-gateway" not in done.stderr, done.stderr

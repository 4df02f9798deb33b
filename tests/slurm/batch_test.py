"""A batch over a job array: 300 lines, four tasks, two of them killed and requeued: every line has one answer."""
import json
import os
import signal
import time

from conftest import Service
from support import lockstep

LINES, TASKS = 300, 4


def write_batch(path):
    lines = [json.dumps({"custom_id": f"line-{i}", "method": "POST", "url": "/v1/completions",
                         "body": {"model": "tiny", "prompt": [5, 6, 7 + i % 200], "max_tokens": 96, "temperature": 1,
                                  "ignore_eos": True}}) for i in range(LINES)]
    path.write_text("\n".join(lines) + "\n")


def test_every_line_of_an_array_has_one_answer(lab, tmp_path, model):
    batch, out = tmp_path / "in.jsonl", tmp_path / "out"
    write_batch(batch)
    job = Service(lab, tmp_path / "home", model, "--batch", batch, "--out", out, "--shards", TASKS, "--ranks", 1,
                  "--time", 20, "--max-sequences", 4, submit=False)
    job.job = job.submit()

    def tasks():
        return sorted(pid for pid, words in lab.processes().items() if words[1:3] == ["batch", "run"])

    def results():
        return sum(path.read_text().count("\n") for path in out.glob("out-*.jsonl"))

    lab.wait_for(lambda: len(tasks()) >= 2 and results() >= 8, 120, "two tasks with results")
    victims = tasks()[:2]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    killed = results()
    assert killed < LINES

    def merge():
        return job.lockstep("batch", "merge", batch, "--from", out, "--out", tmp_path / "all.jsonl", "--json",
                            check=False)

    # A requeued job waits for a while; what its tasks had is finished by them, or by others when the lease ran out.
    def is_whole():
        # Slurm holds a requeued job back for two minutes. A test does not have them.
        pending = lab.run("squeue", "-h", "-r", "-j", job.job, "-t", "PENDING", "-o", "%A", check=False).stdout
        for task in pending.split():
            lab.run("scontrol", "update", f"JobId={task}", "StartTime=now", check=False)
        return merge().returncode == 0
    lab.wait_for(is_whole, 400, "all lines")
    figures = json.loads(merge().stdout)
    assert (figures["lines"], figures["missing"]) == (LINES, 0)
    print(f"{killed} lines when two tasks were killed; {figures['repeated']} lines were answered twice, alike")
    got = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [line["custom_id"] for line in got] == [f"line-{i}" for i in range(LINES)]
    assert all(line["response"]["status_code"] == 200 for line in got)
    # An undisturbed run says the same.
    job.lockstep("batch", "run", batch, "--out", tmp_path / "alone.jsonl", "--model", model, "--model-name", "tiny")
    alone = {line["custom_id"]: line for line in map(json.loads, (tmp_path / "alone.jsonl").read_text().splitlines())}
    for line in got:
        assert line["response"]["body"]["choices"] == alone[line["custom_id"]]["response"]["body"]["choices"]
    lab.wait_for(lambda: not tasks(), 60, "the end of all tasks")


def test_a_result_that_differs_is_found(tmp_path, lab, model):
    batch, out = tmp_path / "in.jsonl", tmp_path / "out"
    out.mkdir()
    line = {"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": {"prompt": [5], "max_tokens": 1}}
    batch.write_text(json.dumps(line) + "\n")
    done = lockstep.run_ok("batch", "run", batch, "--out", out / "out-0.jsonl", "--model", model)
    assert done.returncode == 0
    text = (out / "out-0.jsonl").read_text()
    (out / "out-1.jsonl").write_text(text + '{"torn')
    merged = lockstep.run_json("batch", "merge", batch, "--from", out, "--out", tmp_path / "all")
    assert (merged["lines"], merged["repeated"]) == (1, 1)
    other = json.loads(text)
    other["response"]["body"]["choices"][0]["text"] += "x"
    (out / "out-1.jsonl").write_text(json.dumps(other) + "\n")
    refused = lockstep.run("batch", "merge", batch, "--from", out, "--out", tmp_path / "all")
    assert refused.returncode == lockstep.BAD_DATA and "another answer" in refused.stderr

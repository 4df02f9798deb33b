"""Files and batches: the real service with the official client, and `lockstep batch run`; whatever is killed, each line
is answered once, with the tokens of an undisturbed run."""
import json
import os
import random
import signal
import subprocess
import time

import openai
import pytest

from support.gateway import BINARY, MODEL, run_alone

ROUTE = "/v1/completions"
VOCABULARY = 49152
OPEN = ("validating", "in_progress", "finalizing", "cancelling")


def client_of(gateway):
    return openai.OpenAI(api_key="none", base_url=f"{gateway.url}/v1", max_retries=0)


def body(seed, max_tokens=8, **more):
    draw = random.Random(seed)
    prompt = [draw.randrange(100, VOCABULARY) for _ in range(8 + seed % 9)]
    return {"model": "smollm2", "prompt": prompt, "max_tokens": max_tokens, "ignore_eos": True, "temperature": 0,
            "lockstep": {"receipt": True}, **more}


def line(name, content, **more):
    return {"custom_id": name, "method": "POST", "url": ROUTE, "body": content, **more}


def text_of(lines):
    return "".join(json.dumps(one) + "\n" for one in lines).encode()


def upload(client, lines):
    return client.files.create(file=("in.jsonl", text_of(lines)), purpose="batch")


def begin(client, lines, window="24h", **more):
    file = upload(client, lines)
    return client.batches.create(input_file_id=file.id, endpoint=ROUTE, completion_window=window, **more)


def wait(client, batch, until=lambda batch: batch.status not in OPEN, timeout=60):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        batch = client.batches.retrieve(batch.id)
        if until(batch):
            return batch
        time.sleep(0.02)
    raise AssertionError(f"the batch is still {batch}")


def read(client, file_id):
    return [] if file_id is None else [json.loads(one) for one in client.files.content(file_id).text.splitlines()]


def names(lines):
    return [one["custom_id"] for one in lines]


def receipts(answer):
    """What an answer claims of its choices, in the words of `run --json`."""
    return [{key: one[key] for key in ("output_hash", "trace_root")} for one in answer["lockstep"]["receipts"]]


def receipts_of(lines):
    return {one["custom_id"]: receipts(one["response"]["body"]) for one in lines}


def test_a_batch_goes_round(serve):
    gateway = serve()
    gateway.wait_ready()
    client = client_of(gateway)
    lines = [line(f"line {i}", body(i, n=1 + i % 2)) for i in range(7)]
    lines[4] = line("sampled", body(4, temperature=0.9))  # Without a seed.
    lines.insert(2, line("too long", body(2, max_tokens=100_000)))
    batch = begin(client, lines, metadata={"a": "b"})
    assert (batch.status, batch.metadata) == ("validating", {"a": "b"})
    batch = wait(client, batch)
    assert batch.status == "completed" and batch.in_progress_at <= batch.finalizing_at <= batch.completed_at
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (8, 7, 1)

    output, errors = read(client, batch.output_file_id), read(client, batch.error_file_id)
    assert names(output) == [name for name in names(lines) if name != "too long"]
    assert names(errors) == ["too long"] and errors[0]["response"]["status_code"] == 400
    assert errors[0]["response"]["body"]["error"]["code"] == "context_length_exceeded"
    for one in (0, 4):
        alone = run_alone(lines[one]["body"]["prompt"], 8, ignore_eos=True)
        answer = {got["custom_id"]: got for got in output}[lines[one]["custom_id"]]["response"]["body"]
        assert receipts(answer)[0] == {key: alone[key] for key in ("output_hash", "trace_root")}
        assert answer["choices"][0]["text"] == alone["text"]
    assert len(output[1]["response"]["body"]["choices"]) == 2
    assert [one.id for one in client.batches.list()] == [batch.id]
    assert {one.purpose for one in client.files.list()} == {"batch", "batch_output"}
    with pytest.raises(openai.BadRequestError):
        client.batches.cancel(batch.id)
    assert gateway.stop() == 0


def test_a_bad_file_fails_with_its_lines(serve):
    client = client_of(serve())
    lines = [line("a", body(1)), line("b", body(2, response_format={})), line("a", body(3)),
             line("c", body(4), url="/v1/embeddings"), line("d", body(5, stream=True)),
             line("e", {**body(6), "model": "x"})]
    batch = wait(client, begin(client, lines))
    assert batch.status == "failed" and batch.output_file_id is None
    found = [(one.line, one.code, one.param) for one in batch.errors.data]
    assert found == [(2, "unsupported_parameter", "body.response_format"), (3, "duplicate_custom_id", "custom_id"),
                     (4, "invalid_value", "url"), (5, "invalid_value", "body.stream"),
                     (6, "model_not_found", "body.model")]
    with pytest.raises(openai.NotFoundError):
        client.batches.create(input_file_id="file-" + "0" * 32, endpoint=ROUTE, completion_window="24h")


def check_parts(client, batch, lines, code):
    """Every line stands in one of the files; those without an answer say why."""
    output, errors = read(client, batch.output_file_id), read(client, batch.error_file_id)
    assert sorted(names(output) + names(errors)) == sorted(names(lines))
    assert {one["error"]["code"] for one in errors} == {code}
    assert batch.request_counts.completed == len(output) and batch.request_counts.failed == len(errors)
    return output, errors


def test_a_cancelled_batch_keeps_what_has_ended(serve):
    gateway = serve("--max-sequences", 8)
    gateway.wait_ready()
    client = client_of(gateway)
    lines = [line(str(i), body(i, max_tokens=16)) for i in range(400)]
    batch = wait(client, begin(client, lines), until=lambda one: one.request_counts.completed >= 3)
    with pytest.raises(openai.BadRequestError) as caught:
        client.files.delete(batch.input_file_id)
    assert batch.id in caught.value.message
    assert client.batches.cancel(batch.id).status == "cancelling"
    batch = wait(client, batch)
    assert batch.status == "cancelled" and batch.cancelling_at <= batch.cancelled_at
    output, errors = check_parts(client, batch, lines, "batch_cancelled")
    assert len(output) >= 3 and len(errors) >= 200
    assert client.files.delete(batch.input_file_id).deleted


def test_an_expired_batch_keeps_what_has_ended(serve):
    gateway = serve("--max-sequences", 8)
    gateway.wait_ready()
    client = client_of(gateway)
    lines = [line(str(i), body(i, max_tokens=2)) for i in range(5000)]
    batch = wait(client, begin(client, lines, window="4s"))
    assert batch.status == "expired" and batch.expired_at >= batch.expires_at
    output, errors = check_parts(client, batch, lines, "batch_expired")
    assert output and errors


def test_files_of_a_tenant_have_a_quota(serve):
    client = client_of(serve("--file-quota", 2000))
    first = client.files.create(file=("a", b"x" * 1500), purpose="batch")
    with pytest.raises(openai.BadRequestError) as caught:
        client.files.create(file=("b", b"x" * 1500), purpose="batch")
    assert "2000 bytes" in caught.value.message
    assert [one.id for one in client.files.list()] == [first.id]
    assert client.files.delete(first.id).deleted
    second = client.files.create(file=("b", b"x" * 1500), purpose="batch",
                                 expires_after={"anchor": "created_at", "seconds": 3600})
    assert 3599 <= second.expires_at - second.created_at <= 3601


def test_a_killed_gateway_goes_on_with_its_batches(serve):
    gateway = serve("--max-sequences", 16)
    gateway.wait_ready()
    client = client_of(gateway)
    lines = [line(str(i), body(i)) for i in range(120)]
    batch = begin(client, lines)
    for part in (20, 60):
        wait(client, batch, until=lambda one: one.request_counts.completed >= part)
        gateway.process.kill()
        gateway.process.wait()
        gateway.start()
        client = client_of(gateway)
    batch = wait(client, batch)
    assert (batch.status, batch.request_counts.completed, batch.error_file_id) == ("completed", 120, None)
    output = read(client, batch.output_file_id)
    assert names(output) == names(lines)
    assert len({one["id"] for one in output}) == 120
    for one in random.Random(1).sample(range(120), 6):
        assert receipts(gateway.ask(ROUTE, lines[one]["body"])) == receipts(output[one]["response"]["body"])


def test_durable_jobs_are_listed(serve):
    gateway = serve()
    made = [gateway.ask("/v1/jobs", {"url": ROUTE, "body": body(i)})["id"] for i in range(3)]
    page = gateway.ask("/v1/jobs?limit=2")
    assert [one["id"] for one in page["data"]] == [made[2], made[1]] and page["has_more"]
    assert page["data"][0]["object"] == "job"
    rest = gateway.ask(f"/v1/jobs?limit=2&after={page['last_id']}")
    assert [one["id"] for one in rest["data"]] == [made[0]] and not rest["has_more"]


class Run:
    """`lockstep batch run` in a folder."""

    def __init__(self, folder, lines, *options):
        self.source, self.out = folder / "in.jsonl", folder / "out.jsonl"
        self.source.write_bytes(text_of(lines))
        self.words = [BINARY, "batch", "run", self.source, "--out", self.out, "--model", MODEL, "--model-name",
                      "smollm2", "--threads", 1, "--json", *options]

    def start(self):
        return subprocess.Popen(list(map(str, self.words)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, expected=0):
        process = self.start()
        out, error = process.communicate(timeout=120)
        assert process.returncode == expected, error
        return json.loads(out) if expected == 0 else error

    def read(self):
        return [json.loads(one) for one in self.out.read_text().splitlines()]

    def kill_after(self, count, how=signal.SIGKILL):
        process = self.start()
        end = time.monotonic() + 60
        while time.monotonic() < end and (not self.out.exists() or self.out.read_bytes().count(b"\n") < count):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.005)
        process.send_signal(how)
        process.communicate()
        return process.returncode


def test_batch_run_goes_on_after_kills(tmp_path):
    lines = [line(str(i), body(i, max_tokens=10, n=1 + i % 2)) for i in range(60)]
    lines[7] = line("sampled", body(7, temperature=0.8))
    undisturbed = tmp_path / "whole"
    undisturbed.mkdir()
    whole = Run(undisturbed, lines)
    report = whole.finish()
    assert (report["lines"], report["answered"], report["failed"]) == (60, 60, 0)

    run = Run(tmp_path, lines, "--max-sequences", 4)
    assert run.kill_after(5) == -signal.SIGKILL
    with open(run.out, "ab") as out:  # As a kill in the middle of a write leaves it.
        out.write(b'{"id":"batch_req_1","custom_id":"59","resp')
    before = run.out.read_bytes()
    assert run.kill_after(20) == -signal.SIGKILL
    assert run.out.read_bytes().startswith(before[: before.rindex(b"\n") + 1])
    assert run.kill_after(30, signal.SIGTERM) == 130
    report = run.finish()
    assert report["lines_of_earlier_runs"] + report["answered"] == 60
    assert sorted(names(run.read())) == sorted(names(lines))
    assert receipts_of(run.read()) == receipts_of(whole.read())
    alone = run_alone(lines[2]["body"]["prompt"], 10, ignore_eos=True)
    assert receipts_of(run.read())["2"][0] == {key: alone[key] for key in ("output_hash", "trace_root")}
    assert run.finish()["answered"] == 0


def test_batch_run_over_ranks_gives_the_same(tmp_path):
    lines = [line(str(i), body(i)) for i in range(6)]
    for name in ("one", "three"):
        (tmp_path / name).mkdir()
    one = Run(tmp_path / "one", lines)
    three = Run(tmp_path / "three", lines, "--ranks", 3, "--kv-blocks", 40, "--ctx-size", 64)
    one.finish()
    three.finish()
    assert receipts_of(one.read()) == receipts_of(three.read())


def test_batch_run_separates_errors(tmp_path):
    run = Run(tmp_path, [line("a", body(1)), line("b", body(2, max_tokens=100_000))], "--errors", tmp_path / "errors")
    report = run.finish()
    assert (report["answered"], report["failed"]) == (1, 1)
    assert names(run.read()) == ["a"]
    (error,) = map(json.loads, (tmp_path / "errors").read_text().splitlines())
    assert (error["custom_id"], error["response"]["status_code"]) == ("b", 400)
    assert run.finish()["lines_of_earlier_runs"] == 2


def test_batch_run_refuses_what_it_cannot_go_on_with(tmp_path):
    run = Run(tmp_path, [line("a", body(1)), line("a", body(2))])
    assert "line 2" in run.finish(expected=65) and run.out.read_bytes() == b""
    run.source.write_bytes(text_of([line("a", body(1))]))
    for content, what in ((b'{"custom_id":"z","response":null}\n', "has 1 lines"), (b"no\n", "line 1"),
                          (b'{"custom_id":"a","response":{"body":{"system_fingerprint":"x"}}}\n', "answered by x")):
        run.out.write_bytes(content)
        assert what in run.finish(expected=65)
        assert run.out.read_bytes() == content
    assert os.path.getsize(run.source) > 0

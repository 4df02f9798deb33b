"""`lockstep bench serve` against a server whose answers follow a script."""
import json
import re
import signal
import statistics
import subprocess
import time

import pytest

from support.lockstep import BINARY, UNAVAILABLE, USAGE, environment, run
from support.sse_server import Script, SseServer

# The keys of `vllm bench serve --save-result`, in its order.
KEYS = """date endpoint_type backend label model_id tokenizer_id num_prompts request_rate burstiness max_concurrency
duration completed failed total_input_tokens total_output_tokens request_throughput request_goodput output_throughput
total_token_throughput max_output_tokens_per_s max_concurrent_requests rtfx
mean_ttft_ms median_ttft_ms std_ttft_ms p99_ttft_ms mean_tpot_ms median_tpot_ms std_tpot_ms p99_tpot_ms
mean_itl_ms median_itl_ms std_itl_ms p99_itl_ms""".split()
DETAILS = "input_lens output_lens ttfts itls start_times generated_texts errors".split()
TABLE = """Successful requests Failed requests Maximum request concurrency Benchmark duration (s) Total input tokens
Total generated tokens Request throughput (req/s) Output token throughput (tok/s) Peak output token throughput (tok/s)
Peak concurrent requests Total token throughput (tok/s) Mean TTFT (ms) Median TTFT (ms) P99 TTFT (ms) Mean TPOT (ms)
Median TPOT (ms) P99 TPOT (ms) Mean ITL (ms) Median ITL (ms) P99 ITL (ms)"""


def bench(server, *arguments, **options):
    port = server if isinstance(server, int) else server.port
    return run("bench", "serve", "--port", port, "--random-input-len", 8, "--random-output-len", 4, *arguments,
               **options)


def bench_json(server, *arguments, **options):
    done = bench(server, *arguments, "--json", **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_result_has_vllms_keys(tmp_path):
    with SseServer(Script()) as server:
        done = bench(server, "--num-prompts", 3, "--save-result", "--result-dir", tmp_path / "a/b",
                     "--result-filename", "result.json", "--metadata", "version=1", "tp=2")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "a/b/result.json").read_text())
    assert [k for k in result if k not in ("version", "tp")] == KEYS
    assert (result["version"], result["tp"]) == ("1", "2")
    assert (result["completed"], result["failed"], result["num_prompts"]) == (3, 0, 3)
    assert (result["total_input_tokens"], result["total_output_tokens"]) == (24, 12)
    assert result["model_id"] == "scripted" and result["request_rate"] == "inf"


def test_details_are_saved_where_asked(tmp_path):
    with SseServer(Script(pieces=3)) as server:
        bench(server, "--num-prompts", 2, "--save-result", "--save-detailed", "--result-dir", tmp_path,
              "--label", "mine", "--max-concurrency", 2)
    (path,) = tmp_path.iterdir()
    assert re.fullmatch(r"mine-infqps-concurrency2-scripted-\d{8}-\d{6}\.json", path.name)
    result = json.loads(path.read_text())
    assert set(result) == set(KEYS) | set(DETAILS)
    assert result["output_lens"] == [3, 3] and result["errors"] == ["", ""]
    assert result["generated_texts"] == [" t0 t1 t2"] * 2
    assert [len(gaps) for gaps in result["itls"]] == [2, 2]


def test_results_are_appended_a_line_each(tmp_path):
    with SseServer(Script()) as server:
        for _ in range(2):
            bench(server, "--num-prompts", 1, "--append-result", "--result-dir", tmp_path, "--result-filename", "all")
    assert [json.loads(line)["completed"] for line in (tmp_path / "all").read_text().splitlines()] == [1, 1]


def test_the_table_has_vllms_lines():
    with SseServer(Script()) as server:
        out = bench(server, "--num-prompts", 4, "--max-concurrency", 2).stdout
    names = [line.split(":")[0] for line in out.splitlines() if ":" in line]
    assert " ".join(names) == TABLE.replace("\n", " ")
    assert out.startswith("============ Serving Benchmark Result ============\n")
    assert re.search(r"^Successful requests: +4 +$", out, re.MULTILINE)


def test_chosen_metrics_and_percentiles_are_reported():
    with SseServer(Script()) as server:
        result = bench_json(server, "--num-prompts", 2, "--percentile-metrics", "e2el", "--metric-percentiles",
                            "50,99.9")
    assert {k for k in result if k.endswith("_ms")} == {
        "mean_e2el_ms", "median_e2el_ms", "std_e2el_ms", "p50_e2el_ms", "p99.9_e2el_ms"}


def test_times_are_those_of_the_server():
    with SseServer(Script(pieces=5, first_s=0.1, gap_s=0.05)) as server:
        result = bench_json(server, "--num-prompts", 1, "--percentile-metrics", "ttft,tpot,itl,e2el", "--save-detailed")
    # Sleeps are never shorter; how much longer they are is the machine's affair. A piece that came late makes the gap
    # behind it shorter, so single gaps have no bound: together they are what is left behind the first.
    assert 100 <= result["mean_ttft_ms"] < 1000
    assert 300 <= result["mean_e2el_ms"] < 3000
    assert result["duration"] >= 0.3
    gaps = [1000 * gap for gap in result["itls"][0]]
    assert len(gaps) == 4
    assert sum(gaps) == pytest.approx(result["mean_e2el_ms"] - result["mean_ttft_ms"], abs=0.01)
    assert result["mean_tpot_ms"] == pytest.approx(sum(gaps) / 4, abs=0.01)
    assert result["median_itl_ms"] == pytest.approx(statistics.median(gaps), abs=0.01)


def test_goodput_counts_requests_within_the_limits():
    with SseServer(Script(first_s=0.05)) as server:
        good = bench_json(server, "--num-prompts", 2, "--goodput", "ttft:60000", "e2el:60000")
        bad = bench_json(server, "--num-prompts", 2, "--goodput", "ttft:1", "e2el:60000")
    assert good["request_goodput"] == good["request_throughput"] > 0
    assert bad["request_goodput"] == 0


def test_max_concurrency_is_never_exceeded_and_connections_are_used_again():
    with SseServer(Script(first_s=0.02)) as server:
        result = bench_json(server, "--num-prompts", 20, "--max-concurrency", 3, "--model", "m")
        assert server.most_active == 3
        assert server.connections == 3
    assert result["completed"] == 20 and result["max_concurrency"] == 3


def test_all_requests_come_at_once_without_a_rate():
    with SseServer(Script(first_s=0.3)) as server:
        bench_json(server, "--num-prompts", 8)
        assert server.most_active == 8


def test_the_request_rate_is_obeyed():
    with SseServer(Script(pieces=1)) as server:
        result = bench_json(server, "--num-prompts", 20, "--request-rate", 40, "--burstiness", "inf", "--model", "m",
                            "--save-detailed")
    # The i-th is due (i + 1) / 40 s after the start, the last one after 0.5 s. A slow machine is late, never early.
    starts = result["start_times"]
    origin = starts[-1] - result["duration"]
    assert all(start - origin >= (i + 1) / 40 for i, start in enumerate(starts))
    assert result["duration"] >= 0.5 and result["request_rate"] == 40.0


def test_the_requests_are_those_of_the_dialect():
    with SseServer(Script()) as server:
        bench_json(server, "--num-prompts", 2, "--temperature", 0, "--top-p", 0.5, "--extra-body", '{"min_tokens": 4}',
                   "--header", "x-tenant=a", "--request-id-prefix", "r-", "--seed", 3,
                   env={"OPENAI_API_KEY": "sk-test"})
        first, second = server.completions()
    assert server.requests[0]["path"] == "/v1/models"
    assert first["path"] == "/v1/completions"
    assert {first["headers"]["x-request-id"], second["headers"]["x-request-id"]} == {"r-0", "r-1"}
    assert first["headers"]["Authorization"] == "Bearer sk-test" and first["headers"]["x-tenant"] == "a"
    body = first["body"]
    assert len(body.pop("prompt")) == 8
    assert body == {"model": "scripted", "stream": True, "stream_options": {"include_usage": True},
                    "ignore_eos": True, "temperature": 0, "top_p": 0.5, "min_tokens": 4, "max_tokens": 4}


def test_chat_completions_take_a_file_of_prompts(tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "One?"}\n{"prompt": "Two?", "output_tokens": 5}\n')
    with SseServer(Script(usage=False)) as server:
        result = bench_json(server, "--backend", "openai-chat", "--dataset-name", "custom", "--dataset-path", prompts,
                            "--num-prompts", 2, "--disable-shuffle", "--custom-output-len", 6, "--max-concurrency", 1)
        first, second = server.completions()
    assert first["path"] == "/v1/chat/completions"
    assert [r["body"]["messages"] for r in (first, second)] == [
        [{"role": "user", "content": text}] for text in ("One?", "Two?")]
    assert first["body"]["max_completion_tokens"] == 6 and "ignore_eos" not in first["body"]
    assert result["total_output_tokens"] == 8  # No usage, no tokenizer: a piece is a token.


def test_warm_ups_are_not_measured():
    with SseServer(Script()) as server:
        result = bench_json(server, "--num-prompts", 2, "--num-warmups", 3)
        assert len(server.completions()) == 5
    assert result["completed"] == 2


def test_failures_are_counted_and_told():
    refuse = lambda i: (429, "slow down") if i == 1 else None
    with SseServer(Script(refuse=refuse)) as server:
        done = bench(server, "--num-prompts", 3, "--max-concurrency", 1, "--save-detailed", "--json")
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert (result["completed"], result["failed"]) == (2, 1)
    assert result["errors"] == ["", "HTTP 429: slow down", ""]
    assert result["output_lens"] == [4, 0, 4] and result["total_output_tokens"] == 8
    assert "request 1 failed: HTTP 429: slow down" in done.stderr


@pytest.mark.parametrize("script, error", [
    (Script(refuse=lambda i: (500, "broken")), "HTTP 500: broken"),
    (Script(cut_after=2), "receive: "),
    (Script(done=False), "the stream ended before [DONE]"),
    (Script(pieces=0), "the stream ended without a token"),
])
def test_a_run_without_any_answer_exits_with_unavailable(script, error):
    with SseServer(script) as server:
        done = bench(server, "--num-prompts", 2)
    assert done.returncode == UNAVAILABLE
    assert f"request 0 failed: {error}" in done.stderr
    assert re.search(r"^Failed requests: +2 +$", done.stdout, re.MULTILINE)


def test_a_server_that_is_not_there_is_unavailable():
    with SseServer(Script()) as server:
        port = server.port
    done = bench(port, "--model", "m", "--num-prompts", 2)
    assert done.returncode == UNAVAILABLE and "request 0 failed: connect: " in done.stderr
    done = bench(port)
    assert done.returncode == UNAVAILABLE and "--model: " in done.stderr
    start = time.monotonic()
    done = bench(port, "--model", "m", "--ready-check-timeout-sec", 1)
    assert done.returncode == UNAVAILABLE and "the server is not ready: connect: " in done.stderr
    assert time.monotonic() - start >= 1


def test_the_api_key_comes_from_a_file_but_never_from_a_flag(tmp_path):
    key = tmp_path / "key"
    key.write_text("sk-file\n")
    with SseServer(Script()) as server:
        bench_json(server, "--num-prompts", 1, "--api-key-file", key)
        assert server.completions()[0]["headers"]["Authorization"] == "Bearer sk-file"
        assert server.requests[0]["headers"]["Authorization"] == "Bearer sk-file"
        done = bench(server, "--header", "Authorization=Bearer sk-argv")
    assert done.returncode == USAGE and "OPENAI_API_KEY" in done.stderr


@pytest.mark.parametrize("flags", [
    ("--request-rate", "0"), ("--request-rate", "-1"), ("--request-rate", "fast"), ("--burstiness", "0"),
    ("--max-concurrency", "0"), ("--num-prompts", "0"), ("--goodput", "itl:5"), ("--percentile-metrics", "ttfb"),
    ("--metric-percentiles", "101"), ("--backend", "tgi"), ("--dataset-name", "sonnet"), ("--metadata", "novalue"),
    ("--dataset-name", "custom"), ("--dataset-name", "sharegpt", "--dataset-path", "x"), ("--dataset-path", "x"),
    ("--backend", "openai-chat"), ("--extra-body", "[1]"), ("--header", "x"), ("--header", "a b=c"),
    ("--base-url", "ftp://a"), ("--endpoint", "v1"), ("--random-range-ratio", "1"), ("--custom-output-len", "0"),
    ("--no-such-flag",),
])
def test_wrong_flags_are_refused_before_anything_is_sent(flags):
    with SseServer(Script()) as server:
        done = bench(server, "--model", "m", *flags)
        assert done.returncode == USAGE, done.stderr
        assert server.requests == []


def test_https_needs_a_certificate_that_is_trusted(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1", "-keyout", key,
                    "-out", certificate], check=True, capture_output=True)
    with SseServer(Script(), tls=(certificate, key)) as server:
        flags = ["bench", "serve", "--base-url", f"https://127.0.0.1:{server.port}", "--model", "m", "--num-prompts",
                 "2", "--json"]
        done = run(*flags)
        assert done.returncode == UNAVAILABLE and "TLS: " in done.stderr
        assert server.completions() == []
        trusted = run(*flags, env={"SSL_CERT_FILE": str(certificate)})
        insecure = run(*flags, "--insecure")
    assert [json.loads(d.stdout)["completed"] for d in (trusted, insecure)] == [2, 2]


def test_an_interrupt_ends_the_run():
    with SseServer(Script(first_s=20)) as server:
        command = [BINARY, "bench", "serve", "--port", str(server.port), "--model", "m", "--num-prompts", "2"]
        with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            while server.active < 2:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=10)
    assert process.returncode == 130 and out == b"" and b"interrupted" in errors

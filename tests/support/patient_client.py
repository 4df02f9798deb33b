"""Clients that want their answers whatever happens to the gateway: they ask again with their key, take streams up again
behind the last event, and compare every answer with the undisturbed one."""
import http.client
import json
import random
import threading
import time
import urllib.error
import urllib.request

from support.gateway import read_events

AGAIN = (429, 503)
LOST = (ConnectionError, TimeoutError, http.client.HTTPException, json.JSONDecodeError)


class Wrong(AssertionError):
    """The gateway broke its word."""


class PatientClient(threading.Thread):
    """Does one piece of work after the other until it is told to stop; `error` is what was wrong."""

    def __init__(self, service, seed, expected):
        super().__init__(daemon=True)
        self.service, self.draw, self.number = service, random.Random(seed), seed
        self.expected = expected  # Pairs of a request and the essence of its undisturbed answer.
        self.stopping, self.error = threading.Event(), None
        self.done = []  # Ids of requests that ended.
        self.cancelled = []
        self.keys = {}  # Idempotency keys and the requests that answered them.

    def run(self):
        try:
            while not self.stopping.is_set():
                self.work(f"{self.number}-{len(self.keys)}")
                time.sleep(0.005)
        except BaseException as error:  # The test says what it was.
            self.error = error

    def finish(self, timeout):
        self.stopping.set()
        self.join(timeout)
        assert not self.is_alive(), f"client {self.number} has been waiting for an answer for {timeout} s"

    # What subclasses do.

    def ask(self, path, body=None, method=None, headers=None):
        """The answer and its headers, as often as it takes."""
        while True:
            try:
                with self.open(path, body, method, headers) as answer:
                    return json.loads(answer.read()), answer.headers
            except LOST:
                time.sleep(0.02)

    def open(self, path, body=None, method=None, headers=None, timeout=60):
        """A response with a status below 400, once there is one to be had."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        while True:
            gateway = self.service()
            url = gateway.url
            if url is None:  # It has just ended.
                time.sleep(0.02)
                continue
            request = urllib.request.Request(url + path, data=data, method=method,
                                             headers=gateway.headers(headers))
            if data is not None and not request.has_header("Content-type"):
                request.add_header("Content-Type", "application/json")
            try:
                return urllib.request.urlopen(request, timeout=timeout)
            except urllib.error.HTTPError as error:
                text = error.read()
                if error.code not in AGAIN:
                    raise Wrong(f"{method or ''} {path}: {error.code} {text[:300]}") from None
            except (urllib.error.URLError, *LOST):
                pass
            time.sleep(0.02)

    def claim(self, key, request_id):
        """One key, one request, for ever."""
        known = self.keys.setdefault(key, request_id)
        if known != request_id:
            raise Wrong(f"key {key} answered by {known} and by {request_id}")

    def compare(self, body, expected, answer):
        got = essence(answer)
        if got != expected:
            raise Wrong(f"another answer than the undisturbed one\nasked {body}\ngot {got}\nexpected {expected}")


def essence(answer):
    """What of an answer must not depend on anything: texts, reasons, counts, hashes."""
    return {
        "choices": [(c["index"], c["text"], c["finish_reason"]) for c in answer["choices"]],
        "tokens": answer["usage"]["completion_tokens"],
        "receipts": [(r["index"], r["output_hash"], r["trace_root"]) for r in answer["lockstep"]["receipts"]],
    }


class Answers(PatientClient):
    """Plain answers; every third is asked for twice."""

    def work(self, key):
        body, expected = self.draw.choice(self.expected)
        for _ in range(self.draw.choice((1, 1, 2))):
            answer, headers = self.ask("/v1/completions", body, headers={"Idempotency-Key": key})
            self.claim(key, answer["id"].removeprefix("cmpl-"))
            self.compare(body, expected, answer)
        self.done.append(self.keys[key])


class Jobs(PatientClient):
    """Durable jobs, polled; every fourth is cancelled."""

    def work(self, key):
        body, expected = self.draw.choice(self.expected)
        job = {"url": "/v1/completions", "body": body}
        answer, _ = self.ask("/v1/jobs", job, headers={"Idempotency-Key": key})
        self.claim(key, answer["id"])
        path = f"/v1/jobs/{answer['id']}"
        if self.draw.randrange(4) == 0:
            answer, _ = self.ask(path, method="DELETE")
            if answer["status"] not in ("cancelled", "completed"):
                raise Wrong(f"cancelled, and {answer['status']}")
        while answer["status"] == "in_progress":
            time.sleep(0.01)
            answer, _ = self.ask(path)
        if answer["status"] == "cancelled":
            return self.cancelled.append(answer["id"])
        if answer["status"] != "completed":
            raise Wrong(f"job {answer['id']}: {answer['error']}")
        self.compare(body, expected, answer["response"])
        self.done.append(answer["id"])


class Batches(PatientClient):
    """Batches of a few lines, polled; every third is cancelled; whatever ended is read and removed."""

    def work(self, key):
        lines = {f"{key}-{i}": self.draw.choice(self.expected) for i in range(self.draw.randrange(1, 6))}
        file = self.upload([{"custom_id": name, "method": "POST", "url": "/v1/completions", "body": body}
                            for name, (body, _) in lines.items()])
        asked = {"input_file_id": file, "endpoint": "/v1/completions", "completion_window": "24h"}
        batch, _ = self.ask("/v1/batches", asked)
        path = f"/v1/batches/{batch['id']}"
        is_cancelled = self.draw.randrange(3) == 0
        if is_cancelled:
            batch = self.cancel(path)
        while batch["status"] in ("validating", "in_progress", "finalizing", "cancelling"):
            time.sleep(0.01)
            batch, _ = self.ask(path)
        if batch["status"] not in ("completed", "cancelled")[: 1 + is_cancelled]:
            raise Wrong(f"batch {batch['id']}: {batch}")
        self.check(batch, lines)
        self.remove(f"/v1/files/{file}")
        self.keys[key] = batch["id"]

    def upload(self, lines):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        form = (f'--edge\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--edge\r\n'
                f'Content-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n{text}\r\n--edge--\r\n')
        answer, _ = self.ask("/v1/files", form.encode(),
                             headers={"Content-Type": "multipart/form-data; boundary=edge"})
        return answer["id"]

    def cancel(self, path):
        """It may be too late: it has run, or the answer to an earlier try was lost."""
        try:
            return self.ask(f"{path}/cancel", method="POST")[0]
        except Wrong:
            batch, _ = self.ask(path)
            if batch["status"] not in ("finalizing", "completed", "cancelled"):
                raise
            return batch

    def remove(self, path):
        """A batch that was asked for twice, because the first answer was lost, may still read it."""
        while True:
            try:
                return self.ask(path, method="DELETE")
            except Wrong as wrong:
                if ": 404 " in str(wrong):  # The answer to the one before was lost.
                    return None
                if "is read by" not in str(wrong):
                    raise
                if self.stopping.is_set():
                    return None
                time.sleep(0.02)

    def check(self, batch, lines):
        """Each line once, with the undisturbed answer; without one only when the batch was cancelled. One that was
        cancelled before its file was checked has no lines."""
        if batch["status"] == "cancelled" and batch["in_progress_at"] is None:
            if batch["output_file_id"] or batch["error_file_id"]:
                raise Wrong(f"batch {batch['id']} never began, and has answers: {batch}")
            return
        output, errors = (self.read(batch[name]) for name in ("output_file_id", "error_file_id"))
        names = [one["custom_id"] for one in output + errors]
        if sorted(names) != sorted(lines):
            raise Wrong(f"batch {batch['id']} of {sorted(lines)} answers {names}")
        if errors and batch["status"] != "cancelled":
            raise Wrong(f"batch {batch['id']}: {errors}")
        for one in output:
            body, expected = lines[one["custom_id"]]
            self.compare(body, expected, one["response"]["body"])

    def read(self, file_id):
        while file_id:
            try:
                with self.open(f"/v1/files/{file_id}/content") as answer:
                    return [json.loads(line) for line in answer.read().decode().splitlines()]
            except LOST:
                time.sleep(0.02)
        return []


class Streams(PatientClient):
    """Streams that are left in the middle and taken up again behind the last event."""

    def work(self, key):
        body, expected = self.draw.choice(self.expected)
        seen = Seen(body["n"])
        has_key = self.draw.randrange(2) == 0
        headers = {"Idempotency-Key": key} if has_key else {}
        while not seen.whole:
            patience = self.draw.choice((5, 40, 1000))  # Events until this client leaves.
            try:
                self.read(body, headers, seen, patience)
            except LOST:
                time.sleep(0.02)
        self.claim(key, seen.request_id)
        self.compare(body, expected, seen.answer())
        self.done.append(seen.request_id)

    def read(self, body, headers, seen, patience):
        if seen.request_id is None or (headers and seen.last is None):
            response = self.open("/v1/completions", {**body, "stream": True, "stream_options": {"include_usage": True}},
                                 headers=headers)
        else:
            response = self.open(f"/v1/requests/{seen.request_id}/events",
                                 headers={"Last-Event-ID": seen.last} if seen.last else {})
        with response:
            seen.begin(response)
            for event_id, data in read_events(response):
                seen.take(event_id, data)
                patience -= 1
                if patience == 0:
                    return
            seen.whole = True


class Seen:
    """What a client has of a stream."""

    def __init__(self, num_choices):
        self.request_id, self.last, self.whole = None, None, False
        self.texts, self.reasons = [""] * num_choices, [None] * num_choices
        self.usage, self.receipts = None, []

    def begin(self, response):
        request_id = response.headers["x-request-id"]
        if self.request_id not in (None, request_id):
            raise Wrong(f"{self.request_id} goes on as {request_id}")
        self.request_id = request_id

    def take(self, event_id, data):
        if "error" in data:
            raise Wrong(f"the stream says {data['error']}")
        for choice in data["choices"]:
            index = choice["index"]
            if self.reasons[index] is not None:
                raise Wrong(f"choice {index} went on, or ended again, behind its end: {data}")
            self.texts[index] += choice["text"]
            self.reasons[index] = choice["finish_reason"]
        self.usage = data.get("usage") or self.usage
        self.receipts = data.get("lockstep", {}).get("receipts") or self.receipts
        if event_id is not None:
            self.last = event_id

    def answer(self):
        choices = [{"index": i, "text": self.texts[i], "finish_reason": self.reasons[i]}
                   for i in range(len(self.texts))]
        return {"choices": choices, "usage": self.usage, "lockstep": {"receipts": self.receipts}}

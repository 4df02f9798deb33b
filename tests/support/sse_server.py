"""A small OpenAI-compatible server whose answers follow a script: what a load generator is tested against."""
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Script:
    """How every request is answered. `refuse(i)` may give (status, message) for the i-th request."""

    def __init__(self, pieces=4, first_s=0.0, gap_s=0.0, usage=True, refuse=None, cut_after=None, done=True):
        self.pieces, self.first_s, self.gap_s, self.usage = pieces, first_s, gap_s, usage
        self.refuse, self.cut_after, self.done = refuse or (lambda i: None), cut_after, done


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        """A client that leaves is no news."""


class SseServer:
    """`with SseServer(Script()) as server`: listens on a free port of the loopback until the end."""

    def __init__(self, script, model="scripted", tls=None):
        """`tls`: files of a certificate and its key."""
        self.script, self.model = script, model
        self.lock = threading.Lock()
        self.requests, self.active, self.most_active, self.connections = [], 0, 0, 0
        self.http = _Http(("127.0.0.1", 0), self._handler())
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def completions(self):
        return [r for r in self.requests if r["path"].endswith("completions")]

    def _begin(self, request):
        with self.lock:
            self.requests.append(request)
            self.active += 1
            self.most_active = max(self.most_active, self.active)
            return len(self.completions()) - 1

    def _end(self):
        with self.lock:
            self.active -= 1

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                with server.lock:
                    server.connections += 1

            def log_message(self, *_):
                pass

            def _json(self, status, value):
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                server.requests.append({"path": self.path, "headers": dict(self.headers)})
                self._json(200, {"object": "list", "data": [{"id": server.model}]})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                request = {"path": self.path, "headers": dict(self.headers), "body": body, "time": time.monotonic()}
                index = server._begin(request)
                try:
                    refused = server.script.refuse(index)
                    if refused:
                        time.sleep(server.script.first_s)
                        self._json(refused[0], {"error": {"message": refused[1], "type": "test"}})
                    else:
                        self._stream(body)
                finally:
                    server._end()

            def _chunk(self, data):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

            def _event(self, value):
                self._chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

            def _stream(self, body):
                script, chat = server.script, "messages" in body
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                time.sleep(script.first_s)
                for i in range(script.pieces):
                    if i > 0:
                        time.sleep(script.gap_s)
                    if script.cut_after == i:
                        self.close_connection = True
                        return
                    text = f" t{i}"
                    self._event({"choices": [{"delta": {"content": text}} if chat else {"text": text}]})
                if script.usage:
                    prompt = body.get("prompt")
                    tokens = len(prompt) if isinstance(prompt, list) else 3
                    self._event({"choices": [], "usage": {"prompt_tokens": tokens, "completion_tokens": script.pieces}})
                if script.done:
                    self._chunk(b"data: [DONE]\n\n")
                self.wfile.write(b"0\r\n\r\n")

        return Handler

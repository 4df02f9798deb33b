"""The dashboard in a real browser: Chromium without a window, driven by its command line."""
import base64
import hashlib
import os
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

import pytest
from support.fake_gateway import KEY, fake_gateway

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium (Debian package of that name)")

# Types the key into the page's own field and submits the form, as its user would.
DRIVER = """<script>
addEventListener('load', () => {
  document.getElementById('key').value = '%s';
  document.getElementById('ask').requestSubmit();
});
</script></body>"""


def dump(url, folder):
    """The document as it is after the page has run for a few seconds of its own time."""
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"]
    flags.append("--virtual-time-budget=4000")
    # No other host has an address: a page that needs the network shows it.
    rules = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
    done = subprocess.run(
        [CHROMIUM, *flags, rules, "--dump-dom", url], capture_output=True, text=True, timeout=120,
        env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


class Driven(BaseHTTPRequestHandler):
    """The gateway's page with a driver in it; everything else is passed on to the gateway."""

    gateway, key = None, None

    def do_GET(self):
        headers = [(name, value) for name, value in self.headers.items() if name == "Authorization"]
        code, fields, body = self.gateway.request("GET", self.path, key=None, headers=headers)
        if self.path == "/":
            body = body.replace(b"</body>", (DRIVER % self.key).encode())
        self.send_response(code)
        self.send_header("content-type", fields["content-type"])
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def gateway():
    with fake_gateway() as one:
        assert one.request("POST", "/v1/completions", {"prompt": "a", "max_tokens": 7, "ignore_eos": True})[0] == 200
        yield one


def driven(gateway, key, folder):
    Driven.gateway, Driven.key = gateway, key
    with ThreadingHTTPServer(("127.0.0.1", 0), Driven) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            return dump(f"http://127.0.0.1:{server.server_port}/", folder)
        finally:
            server.shutdown()


def test_it_asks_for_a_key_and_shows_nothing_before(gateway, tmp_path):
    page = dump(gateway.url + "/", tmp_path)
    assert 'id="data" hidden' in page and "The key stays in this page." in page
    assert "replica-0" not in page


def test_its_own_style_and_script_pass_its_policy(gateway, tmp_path):
    # The hashes in the policy are those of the bytes that are served, or the browser would drop them.
    page = urlopen(gateway.url + "/")
    policy = page.headers["content-security-policy"]
    text = page.read().decode()
    for tag in ("style", "script"):
        content = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_it_shows_replicas_queues_and_tokens(gateway, tmp_path):
    page = driven(gateway, KEY, tmp_path)
    assert 'id="data" hidden' not in page
    for text in ("replica-0", "tokens per second", "time to first token", "jobs done", "queued", "fake"):
        assert text in page, text


def test_it_says_that_a_key_is_wrong(gateway, tmp_path):
    page = driven(gateway, "sk-wrong", tmp_path)
    assert "the API key is not known here" in page and 'id="data" hidden' in page

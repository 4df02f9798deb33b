"""The template interpreter against jinja2, set up as Hugging Face does: the same bytes, or an error in both."""

import json
import os
import random
import re
import struct
import subprocess
from pathlib import Path

import pytest
from tests.support import hugging_face_template, template_program
from tests.support.lockstep import GGUF, MODELS

TOOL = Path(os.environ.get("LOCKSTEP_RENDER_TEMPLATE_TOOL")
            or MODELS.parent / "release/tests/render_template_tool").resolve()
FOLDER = Path(__file__).parent
TEMPLATES = sorted((FOLDER / "templates").glob("*.jinja"))
CONSTRUCTS = [line for line in (FOLDER / "constructs.txt").read_text().split("\n") if line]
NUM_CONVERSATIONS = 60
QUICK_PROGRAMS, LONG_PROGRAMS = 2_000, 100_000
BATCH = 500


def model_template():
    """The text under `tokenizer.chat_template`: a type (8), a length and the bytes follow the key."""
    key = b"tokenizer.chat_template"
    head = GGUF.read_bytes()[:32_000_000]
    at = head.index(key) + len(key)
    kind, size = struct.unpack_from("<IQ", head, at)
    assert kind == 8
    return head[at + 12 : at + 12 + size].decode()


def render_all(requests):
    """What the tool answers to each {template, variables}: the text, or None for an error."""
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([TOOL], input=lines, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = [json.loads(line) for line in done.stdout.split("\n") if line]
    assert len(answers) == len(requests)
    return answers


def prints_an_address(text):
    """Of an iterator, as `<generator object ... at 0x7f...>`, perhaps taken apart by a filter: no two runs agree."""
    return text is not None and "objectat0x" in re.sub("[^a-z0-9]", "", text.lower())


def compare(requests, label):
    for request, answer in zip(requests, render_all(requests), strict=True):
        expected = hugging_face_template.render(request["template"], request["variables"])
        if prints_an_address(expected):
            assert "cannot be printed" in answer.get("error", ""), f"{label}\n{json.dumps(request)}\n{answer}"
            continue
        assert answer.get("text") == expected, f"{label}\n{json.dumps(request)}\n{answer}"


def conversations(seed, count):
    source = random.Random(seed)
    return [template_program.conversation(source) for _ in range(count)]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_gives_the_bytes_of_jinja2_for_every_conversation(path):
    template = path.read_text()
    requests = [{"template": template, "variables": v} for v in conversations(7, NUM_CONVERSATIONS)]
    texts = [hugging_face_template.render(template, r["variables"]) for r in requests]
    assert sum(text is not None for text in texts) >= 5, "the template refuses nearly everything"
    compare(requests, path.name)


def test_gives_the_bytes_of_jinja2_for_the_template_of_the_model():
    if not GGUF.exists():
        pytest.skip(f"no model at {GGUF}: run `make model`")
    template = model_template()
    assert "<|im_start|>" in template
    compare([{"template": template, "variables": v} for v in conversations(8, 200)], "model")


def test_gives_the_bytes_of_jinja2_for_each_construct():
    variables = template_program.fixed_variables()
    compare([{"template": line, "variables": variables} for line in CONSTRUCTS], "constructs.txt")


def compare_programs(first_seed, count):
    for begin in range(first_seed, first_seed + count, BATCH):
        requests = []
        for seed in range(begin, min(begin + BATCH, first_seed + count)):
            source = random.Random(seed)
            requests.append({"template": template_program.program(source),
                             "variables": template_program.fixed_variables(), "seed": seed})
        compare(requests, "random program")


def test_agrees_with_jinja2_on_random_programs():
    compare_programs(1, QUICK_PROGRAMS)


@pytest.mark.long
def test_agrees_with_jinja2_on_many_random_programs():
    compare_programs(1_000_000, LONG_PROGRAMS)

"""The official `openai` client against the HTTP interface; the backend is the fake one."""
import json

import openai
import pytest
from support.fake_gateway import KEY, fake_gateway

USER = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def gateway():
    with fake_gateway(keys=(f"{KEY},a", "sk-limited,b,1")) as one:
        yield one


@pytest.fixture(scope="module")
def client(gateway):
    with openai.OpenAI(api_key=KEY, base_url=f"{gateway.url}/v1", max_retries=0) as one:
        yield one


def test_models(client):
    assert [model.id for model in client.models.list()] == ["fake"]
    assert client.models.retrieve("fake").owned_by == "lockstep"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


def test_completions_with_every_parameter(client):
    answer = client.completions.create(
        model="fake", prompt="hello", max_tokens=12, temperature=0.5, top_p=0.9, n=2, seed=5, logprobs=2, stop=["zzz"],
        presence_penalty=0.5, frequency_penalty=0.5, logit_bias={"9": -1}, user="me",
        extra_body={
            "top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1, "ignore_eos": True, "lockstep": {"receipt": True},
        },
    )  # fmt: skip
    assert [choice.index for choice in answer.choices] == [0, 1]
    for choice in answer.choices:
        assert choice.finish_reason == "length"
        assert len(choice.logprobs.tokens) == 12 and len(choice.logprobs.top_logprobs[0]) == 2
        assert choice.logprobs.text_offset == sorted(choice.logprobs.text_offset)
    assert answer.usage.completion_tokens == 24 and answer.usage.prompt_tokens == 5
    receipts = answer.model_extra["lockstep"]["receipts"]
    assert len({receipt["result_hash"] for receipt in receipts}) == 2
    assert answer.id == f"cmpl-{answer.model_extra['lockstep']['request_id']}"


def test_prompts_of_token_ids_and_echo(client):
    text = client.completions.create(model="fake", prompt="hello", max_tokens=8, seed=1, echo=True).choices[0].text
    ids = [ord(letter) + 8 for letter in "hello"]
    assert client.completions.create(model="fake", prompt=ids, max_tokens=8, seed=1, echo=True).choices[0].text == text
    assert text.startswith("hello") and len(text) > 5


def test_completion_streams_hold_the_whole_answer(client):
    options = {"model": "fake", "prompt": "hello", "max_tokens": 50, "seed": 2, "n": 2}
    whole = client.completions.create(**options)
    texts, reasons, usage = ["", ""], [None, None], None
    for chunk in client.completions.create(**options, stream=True, stream_options={"include_usage": True}):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            reasons[choice.index] = choice.finish_reason
        usage = chunk.usage or usage
    assert texts == [choice.text for choice in whole.choices]
    assert reasons == [choice.finish_reason for choice in whole.choices]
    assert usage == whole.usage


def test_chats_with_every_parameter(client):
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    answer = client.chat.completions.create(
        model="fake", messages=USER, max_completion_tokens=10, temperature=0, logprobs=True, top_logprobs=3,
        tools=tools, tool_choice="auto", extra_body={"ignore_eos": True},
    )  # fmt: skip
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and choice.finish_reason == "length"
    assert len(choice.logprobs.content) == 10 and len(choice.logprobs.content[0].top_logprobs) == 3
    joined = b"".join(bytes(token.bytes) for token in choice.logprobs.content)
    assert joined.decode(errors="replace") == choice.message.content
    without = client.chat.completions.create(model="fake", messages=USER, max_completion_tokens=10, temperature=0)
    assert without.usage.prompt_tokens < answer.usage.prompt_tokens


def test_chat_streams_hold_the_whole_answer(client):
    options = {"model": "fake", "messages": USER, "max_tokens": 60, "seed": 4}
    whole = client.chat.completions.create(**options)
    chunks = list(client.chat.completions.create(**options, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_whole_conversation_with_tools(client):
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "hello"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "2"},
    ]
    assert client.chat.completions.create(model="fake", messages=messages, max_tokens=5).choices[0].message.content


def test_stop_strings_end_an_answer_in_front_of_them(client):
    options = {"model": "fake", "prompt": "hello", "max_tokens": 60, "seed": 2}
    text = client.completions.create(**options).choices[0].text
    stop = text[10:13]
    choice = client.completions.create(**options, stop=[stop]).choices[0]
    assert choice.text == text[: text.index(stop)] and choice.finish_reason == "stop"
    streamed = client.completions.create(**options, stop=[stop], stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == choice.text


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"temperature": 3}, "temperature"),
        ({"n": 0}, "n"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"max_tokens": 100000}, "max_tokens"),
        ({"extra_body": {"surprise": 1}}, "surprise"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(client, options, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="fake", messages=USER, **options)
    assert caught.value.param == param and param in caught.value.message


def test_errors_are_those_of_the_client(client, gateway):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-4", messages=USER)
    assert caught.value.code == "model_not_found" and len(caught.value.request_id) == 32
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()
    limited = client.with_options(api_key="sk-limited")
    limited.completions.create(model="fake", prompt="hello", max_tokens=5)
    with pytest.raises(openai.RateLimitError) as caught:
        limited.completions.create(model="fake", prompt="hello", max_tokens=5)
    assert int(caught.value.response.headers["retry-after"]) >= 1


def test_a_repeated_key_gives_the_first_answer_again(client):
    def ask(text):
        messages, headers = [{"role": "user", "content": text}], {"Idempotency-Key": "k"}
        return client.chat.completions.create(model="fake", messages=messages, max_tokens=20, extra_headers=headers)

    assert ask("a") == ask("a")
    with pytest.raises(openai.UnprocessableEntityError):
        ask("b")


def test_files_and_batches(client):
    line = {"custom_id": "1", "method": "POST", "url": "/v1/completions", "body": {"prompt": "hello"}}
    content = (json.dumps(line) + "\n").encode() * 1000
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    assert (file.filename, file.bytes, file.purpose, file.status) == ("in.jsonl", len(content), "batch", "processed")
    assert client.files.retrieve(file.id) == file
    assert client.files.content(file.id).read() == content
    other = client.files.create(file=("b.jsonl", b"{}"), purpose="batch")
    assert [one.id for one in client.files.list(limit=1)] == [other.id, file.id]  # The client turns the pages.

    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/completions", completion_window="24h", metadata={"a": "b"}
    )
    assert (batch.status, batch.input_file_id, batch.metadata) == ("validating", file.id, {"a": "b"})
    assert client.batches.retrieve(batch.id) == batch and [one.id for one in client.batches.list()] == [batch.id]
    assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    assert client.files.delete(other.id).deleted
    for gone in (client.files.retrieve, client.files.content):
        with pytest.raises(openai.NotFoundError):
            gone(other.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h")
    assert caught.value.param == "endpoint"
    with pytest.raises(openai.BadRequestError):
        client.files.create(file=("in.jsonl", content), purpose="fine-tune")


def test_tokenize_and_detokenize(gateway):
    code, answer = gateway.json("POST", "/tokenize", {"model": "fake", "prompt": "hello"})
    assert (code, answer["count"], answer["max_model_len"]) == (200, 5, 2048)
    assert gateway.json("POST", "/detokenize", {"tokens": answer["tokens"]}) == (200, {"prompt": "hello"})
    assert json.dumps(gateway.json("POST", "/tokenize", {"messages": USER})[1]["tokens"]).startswith("[3, ")

"""The official clients of OpenAI, Anthropic, Google, Ollama, AWS and Cohere through the gateway, to a provider of each API.

    pip install --requirement tests/clients/requirements.txt
    python tests/clients/run.py

Prints what works as the tables in docs/models.md, and fails where those say anything else. GATEWAY and MODEL_SERVER
name the program and the component where they are not those of `cargo build` and of a release.
"""

import json
import os
import pathlib
import sys
import time
import traceback
import urllib.request

import clients
from clients import PROVIDERS, Failed
from gateway import EMBEDDINGS, Gateway

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("GATEWAY", ROOT / "target/debug/gateway")
COMPONENT = os.environ.get("MODEL_SERVER", ROOT / "target/wasm32-wasip2/release/model_server.wasm")
SAID = "I am a stand-in and no model. You said: "
ENDS = {"stop", "completed", "end_turn", "STOP"}
ENDS_OF_TOOLS = {"tool_calls", "completed", "tool_use", "STOP", "stop"}


def equal(what, got, wanted):
    assert got == wanted, f"{what}: {got!r} and not {wanted!r}"


def answers(ask, model):
    text, usage, calls, reason, _ = ask(model, [("user", "good day")])
    equal("the text", text, SAID + "good day")
    equal("the usage", usage, (2, 11))
    equal("the calls", calls, [])
    assert reason in ENDS, f"the end is {reason!r}"


def calls_tools(ask, model):
    told = [("user", "call Oslo")]
    _, usage, calls, reason, got = ask(model, told, tools=True)
    equal("the calls", [(name, arguments) for _, name, arguments in calls], [("weather", {"city": "Oslo"}), ("time", {"city": "Oslo"})])
    equal("the usage", usage, (2, 2))
    assert reason in ENDS_OF_TOOLS, f"the end is {reason!r}"
    ids = [str(id) for id, _, _ in calls]
    assert ids[0] is None or ids[0] != ids[1] or ids[0] == "None", f"both calls are {ids[0]}"
    told += [("calls", got), ("results", [(id, name, f"{name} is fine") for id, name, _ in calls])]
    text, *_ = ask(model, told, tools=True)
    assert text.startswith(SAID) and "time is fine" in text, f"after the tools: {text!r}"


def fails(client, asks, model):
    """What the client's user catches: the same from both ways to ask."""
    told = set()
    for ask in asks:
        try:
            got = client.guarded(ask, model, [("user", "good day")])
        except Failed as failed:
            provider_says = ["too many requests", "overloaded", "does not run", "upstream"]
            assert any(it in failed.message.lower() for it in provider_says), f"the message is {failed.message!r}"
            told.add(str(failed))
        else:
            raise AssertionError(f"nothing failed: {got!r}")
    assert len(told) == 1, f"a stream fails otherwise than a whole answer: {told}"
    return told.pop()


def caught(by_provider):
    """Errors by provider: that of most, and who has another."""
    errors = list(by_provider.values())
    usual = max(errors, key=errors.count, default="none")
    others = [f"{provider}: {error}" for provider, error in by_provider.items() if error != usual]
    return "; ".join([usual, *others])


def leaves(client, gateway, model):
    before = gateway.count("client_left", model)
    text = client.leave(model, [("user", "word " * 30_000)])
    assert "I am a stand-in".startswith(text), f"the first text is {text!r}"
    deadline = time.monotonic() + 10
    while gateway.count("client_left", model) == before:
        assert time.monotonic() < deadline, "the gateway does not say that the client has left"
        time.sleep(0.05)
    answers(client.whole, model)


def lists(client):
    names = client.models()
    wanted = {name for provider in PROVIDERS for name in (provider, f"{provider}-busy", f"{provider}-busy-next")}
    assert wanted <= set(names), f"{wanted - set(names)} are missing"
    equal("how often names are listed", len(names), len(set(names)))


def checks(client, gateway):
    """What is to work, and what is to fail: by column, and each for the name of a provider."""
    both = [client.whole, client.stream]

    def next_answers(provider):
        for ask in both:
            answers(ask, f"{provider}-busy-next")
            answers(ask, f"{provider}-broken-next")
            answers(ask, f"{provider}-away-next")
            answers(ask, f"{provider}-silent-next")
        answers(client.stream, f"{provider}-overloaded-next")

    works = {
        "answer": lambda provider: answers(client.whole, provider),
        "stream": lambda provider: answers(client.stream, provider),
        "tools": lambda provider: calls_tools(client.whole, provider),
        "tools in a stream": lambda provider: calls_tools(client.stream, provider),
        "fail-over": next_answers,
        "client leaves": lambda provider: leaves(client, gateway, provider),
        "models": lambda _: lists(client),
    }
    errors = {
        "429": lambda provider: fails(client, both, f"{provider}-busy"),
        "503": lambda provider: fails(client, both, f"{provider}-broken"),
        "away": lambda provider: fails(client, both, f"{provider}-away"),
        "silent": lambda provider: fails(client, both, f"{provider}-silent"),
        "error before content": lambda provider: fails(client, [client.stream], f"{provider}-overloaded"),
        "error in the middle": lambda provider: fails(client, [client.stream], f"{provider}-breaks"),
    }
    return works, errors


def tables(gateway):
    works, errors, wrong = [], [], []
    for kind in clients.ALL:
        client = kind(gateway.address)

        def row(checks, cell):
            cells = {"client": client.name}
            for column, check in checks.items():
                well = {}
                for provider in client.providers:
                    if column == "models" and client.models is None:
                        continue
                    try:
                        well[provider] = check(provider)
                    except Exception as error:
                        wrong.append(f"{client.name}, {column}, {provider}: {error or type(error).__name__}")
                        if os.environ.get("TRACE"):
                            traceback.print_exc()
                cells[column] = cell(well)
            return cells

        whether, which = checks(client, gateway)

        def whose(well):
            return "all" if list(well) == PROVIDERS else ", ".join(well) or "–"

        works.append(row(whether, whose))
        errors.append(row(which, caught))
    return table(works), table(errors), wrong


def files(address):
    """What OpenAI's client sends as forms with files, and gets as bytes."""
    client = clients.openai_client(address)
    sound = bytes(range(256)) * 1000
    said = client.audio.transcriptions.create(model="openai", file=("a \"sound\".mp3", sound), prompt="model")
    assert said.text.endswith(" to model-of-openai."), said.text
    equal("the seconds", said.usage.seconds, 2)
    edited = client.images.edit(model="openai", image=[("a.png", sound), ("b.png", sound)], prompt="a cat")
    assert edited.data[0].revised_prompt.endswith(" to model-of-openai."), edited
    equal("the tokens", edited.usage.total_tokens, 30)
    spoken = client.audio.speech.create(model="openai", input="good day", voice="alloy")
    equal("the sound", spoken.content[1::2], b"good day")


EMBEDDED = ["openai", "cohere", "gemini", "ollama", *EMBEDDINGS]
TEXTS, VECTORS = ["good day", "hi"], [[8.0, 1.0], [2.0, 1.0]]


def embeddings(address):
    """Embeddings of each API for each client that has any: which clients have those of which models, as a table."""
    openai_s, ollama_s = clients.openai_client(address), clients.Ollama(address).client
    google_s, cohere_s = clients.Gemini(address).client, clients.Cohere(address).client
    options = clients.types.HttpOptions(base_url=address, timeout=60_000)
    vertex_s = clients.genai.Client(vertexai=True, api_key=clients.KEY, http_options=options)

    def by_openai(model, texts, **more):
        # Bytes, unless it is told otherwise.
        for form in ({}, {"encoding_format": "float"}):
            got = openai_s.embeddings.create(model=model, input=texts, **form, **more)
        return [it.embedding for it in got.data], got.usage.total_tokens

    def by_ollama(model, texts, **more):
        got = ollama_s.embed(model=model, input=texts, **more)
        return [list(it) for it in got.embeddings], got.prompt_eval_count

    def by_google(model, texts, client=google_s, **more):
        more = {"output_dimensionality": more["dimensions"]} if more else {}
        # Of some names the client makes one content of several texts, which is one embedding.
        contents = [clients.types.Content(parts=[clients.types.Part(text=text)]) for text in texts]
        got = client.models.embed_content(model=model, contents=contents, config=more)
        return [it.values for it in got.embeddings], got.usage_metadata and got.usage_metadata.prompt_token_count

    def by_cohere(model, texts, **more):
        more = {"output_dimension": more["dimensions"]} if more else {}
        asked = {"model": model, "texts": texts, "input_type": "search_query", **more}
        got = cohere_s.embed(**asked, embedding_types=["float"])
        if model != "cohere":
            both = cohere_s.embed(**asked, embedding_types=["base64", "float"])
            equal(f"both forms of {model}", (len(both.embeddings.base64), both.embeddings.float_), (len(texts), got.embeddings.float_))
        return got.embeddings.float_, int(got.meta.billed_units.input_tokens)

    by = {"`openai`": by_openai, "`google-genai`": by_google, "`ollama`": by_ollama, "`cohere`": by_cohere}
    rows, wrong = [], []
    for client, ask in by.items():
        well = []
        for model in EMBEDDED:
            takes = TEXTS[:1] if model == "bedrock-titan" else TEXTS
            try:
                for texts in (TEXTS[:1], takes):
                    for more in ({}, {"dimensions": 2}):
                        vectors, tokens = ask(model, texts, **more)
                        # The stand-in for OpenAI's has other numbers.
                        wanted = VECTORS[: len(texts)]
                        equal("the vectors", len(vectors) if model == "openai" else vectors, len(texts) if model == "openai" else wanted)
                        equal("the tokens", tokens, sum(len(it.split()) for it in texts))
                well.append(model)
            except Exception as error:
                wrong.append(f"embeddings, {client}, {model}: {error or type(error).__name__}")
        rows.append({"client": client, "embeddings of": "all" if well == EMBEDDED else ", ".join(well)})
    for model in ("gemini", "vertex", "vertex-gemini"):
        extra = {"input_type": "search_query"}
        openai_s.embeddings.create(model=model, input=TEXTS[0], extra_body=extra)
    # A client for Vertex AI has settings at another place.
    vectors, _ = by_google("vertex-gemini", TEXTS[:1], client=vertex_s, dimensions=2)
    equal("the vectors for a client of Vertex AI", vectors, VECTORS[:1])
    try:
        openai_s.embeddings.create(model="bedrock-titan", input=TEXTS)
        wrong.append("bedrock-titan takes several texts")
    except clients.openai.BadRequestError as refused:
        assert "takes one for each request" in refused.message, refused.message
    return table(rows), wrong


def refuses(address):
    """A key that nobody has: what `auth` says, as clients read it whose API has a form of its own for it."""
    known, clients.KEY = clients.KEY, "nobody-s-key"
    try:
        for kind, expected in ((clients.Converse, "`AccessDeniedException` 401"), (clients.Cohere, "`UnauthorizedError` 401")):
            client = kind(address)
            try:
                client.guarded(client.whole, client.providers[0], [("user", "good day")])
                raise AssertionError(f"{client.name} was let in")
            except clients.Failed as failed:
                equal(f"{client.name} with a wrong key", str(failed), expected)
                assert "key" in failed.message.lower() or "credential" in failed.message.lower(), failed.message
    finally:
        clients.KEY = known


def keeps_alive(address):
    """A stream that is silent for longer than `keep_alive`: what is sent meanwhile, and that each client reads over it."""
    for kind in clients.ALL:
        client = kind(address)
        model = "openai" if "openai" in client.providers else client.providers[0]
        answers(client.stream, f"{model}-slow")
    messages = [{"role": "user", "content": "good day"}]
    streamed = {"model": "openai-slow", "stream": True, "max_tokens": 50, "messages": messages}
    ping = 'event: ping\ndata: {"type": "ping"}\n\n'
    for path, body, sent in [
        ("/v1/chat/completions", streamed, ": keep-alive\n\n"),
        ("/v1/responses", {"model": "openai-slow", "stream": True, "input": "good day"}, ": keep-alive\n\n"),
        ("/v1/messages", streamed, ping),
        ("/v1/models/openai-slow:streamGenerateContent?alt=sse", {"contents": [{"role": "user", "parts": [{"text": "good day"}]}]}, None),
        ("/api/chat", {"model": "openai-slow", "messages": messages}, None),
    ]:
        fields = {"authorization": "Bearer team-a-key", "content-type": "application/json"}
        asked = urllib.request.Request(address + path, json.dumps(body).encode(), fields)
        with urllib.request.urlopen(asked, timeout=30) as response:
            text = response.read().decode()
        if sent:
            assert sent in text, f"{path}: {text}"
        else:
            assert "alive" not in text and "ping" not in text, f"{path}: {text}"
        for event in text.split("\n\n"):
            assert event.count("data: ") <= 1, f"{path}: an event was torn: {event!r}"


def table(rows):
    head = [f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|"]
    return "\n".join([*head, *(f"| {' | '.join(row.values())} |" for row in rows), ""])


def main():
    began = time.monotonic()
    with Gateway(BINARY, COMPONENT) as gateway:
        works, errors, wrong = tables(gateway)
        files(gateway.address)
        embedded, missing = embeddings(gateway.address)
        wrong += missing
        keeps_alive(gateway.address)
        refuses(gateway.address)
        logged = gateway.logged()
    print(f"{works}\n{errors}\n{embedded}")
    page = (ROOT / "docs/models.md").read_text()
    for it in (works, errors, embedded):
        if it not in page:
            wrong.append("docs/models.md has another table than:\n" + it)
    print(f"{time.monotonic() - began:.1f} s")
    if wrong:
        sys.exit("\n".join([*wrong, "", "the gateway's log ends:", *logged.splitlines()[-20:]]))


main()

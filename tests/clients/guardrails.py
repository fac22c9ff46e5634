"""What the official clients show their users where guard rails mask or stop something.

Prints it as the table in docs/guardrails.md, and fails where that says anything else. As `run.py` otherwise.
"""

import os
import pathlib
import sys

import clients
from clients import Failed
from gateway import PROVIDERS, Gateway

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("GATEWAY", ROOT / "target/debug/gateway")
COMPONENT = os.environ.get("MODEL_SERVER", ROOT / "target/wasm32-wasip2/release/model_server.wasm")
# Put together, so that nobody takes them for real ones.
KEY = "ghp_" + "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"
ID = "AKIA" + "IOSFODNN7EXAMPLE"
GUARDRAILS = """
[plugins.guardrails]
component = "guardrails"
grants = ["metrics"]
limits = { memory = "128MiB", deadline = "2s" }
config.input = { email = "mask", card = "redact", api-key = "block" }
config.output = { aws-key = "block" }
"""


def guarded(text):
    text = text.replace('plugins = ["keys", "models"]', 'plugins = ["keys", "guardrails", "models"]')
    return text.replace("[plugins.models]", GUARDRAILS + "\n[plugins.models]", 1)


def masked(ask, model):
    text, *_ = ask(model, [("user", "write to ada@example.com, card 4111 1111 1111 1111")])
    assert text.endswith("write to ada@example.com, card [CARD]"), f"the text is {text!r}"
    return "masked"


def refused(client, model):
    try:
        client.guarded(client.whole, model, [("user", f"my key is {KEY}")])
    except Failed as failed:
        assert "it has an api key" in failed.message and KEY not in failed.message, failed.message
        return str(failed)
    raise AssertionError("the request was not refused")


def stopped(client, model):
    """The end of an answer that says what is blocked, as the client gives it."""
    try:
        _, _, _, reason, _ = client.guarded(client.whole, model, [("user", f"the id is {ID}")])
        return f"`{reason}`"
    except Failed as failed:
        assert "it has an aws key" in failed.message, failed.message
        return str(failed)


def stream_end(client, model):
    """The same of a stream: the text before it, and the end."""
    request = client.request(model, [("user", f"the id is {ID} and more")], False)
    kind, client = type(client), client.client
    if kind is clients.Chat:
        chunks = list(client.chat.completions.create(**request, stream=True))
        text = "".join(it.choices[0].delta.content or "" for it in chunks if it.choices)
        return text, chunks[-1].choices[0].finish_reason
    if kind is clients.Responses:
        events = list(client.responses.create(**request, stream=True))
        text = "".join(it.delta for it in events if it.type == "response.output_text.delta")
        return text, f"{events[-1].type}: {events[-1].response.incomplete_details.reason}"
    if kind is clients.Messages:
        with client.messages.stream(**request) as stream:
            message = stream.get_final_message()
        return "".join(it.text for it in message.content), message.stop_reason
    if kind is clients.Gemini:
        pieces = list(client.models.generate_content_stream(**request))
        return "".join(it.text or "" for it in pieces), pieces[-1].candidates[0].finish_reason.value
    text = ""
    try:
        for piece in client.chat(**request, stream=True):
            text += piece.message.content or ""
    except clients.ollama.ResponseError as error:
        return text, f"{type(error).__name__}: {error.error}"
    return text, "nothing"


def stream_stopped(client, model):
    text, end = stream_end(client, model)
    assert "the id is" in text and "AKIA" not in text and "more" not in text, f"the text is {text!r}"
    return f"`{end}`"


def main():
    rows, wrong = [], []
    with Gateway(BINARY, COMPONENT, change=guarded) as gateway:
        # Bedrock's own client asks by an API that is not read here, and at Bedrock alone.
        for kind in (it for it in clients.ALL if it.providers is PROVIDERS):
            client = kind(gateway.address)
            cells = {"client": client.name}
            for column, check in {
                "masked": lambda model: masked(client.whole, model),
                "masked, stream": lambda model: masked(client.stream, model),
                "request blocked": lambda model: refused(client, model),
                "answer blocked": lambda model: stopped(client, model),
                "stream blocked": lambda model: stream_stopped(client, model),
            }.items():
                seen = set()
                for provider in PROVIDERS:
                    try:
                        seen.add(check(provider))
                    except Exception as error:
                        wrong.append(f"{client.name}, {column}, {provider}: {type(error).__name__}: {error}")
                cells[column] = "; ".join(sorted(seen))
            rows.append(cells)
        logged = gateway.logged()
    head = [f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|"]
    table = "\n".join([*head, *(f"| {' | '.join(row.values())} |" for row in rows), ""])
    print(table)
    for secret in (KEY, ID, "ada@example.com"):
        if secret in logged:
            wrong.append(f"the log has {secret}")
    if table not in (ROOT / "docs/guardrails.md").read_text():
        wrong.append("docs/guardrails.md has another table")
    if wrong:
        sys.exit("\n".join([*wrong, "", "the gateway's log ends:", *logged.splitlines()[-20:]]))


main()

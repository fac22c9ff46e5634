"""The clients for JavaScript, and the libraries that many use instead of a client, through the gateway to a provider of
each API.

    pip install --requirement tests/clients/others.txt
    npm install --prefix tests/clients/javascript
    python tests/clients/others.py

Prints what works as the tables in docs/models.md, and fails where those say anything else. GATEWAY and MODEL_SERVER are
those of run.py; JAVASCRIPT names the folder in which npm has installed the clients.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

from gateway import PROVIDERS, Gateway

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("GATEWAY", ROOT / "target/debug/gateway")
COMPONENT = os.environ.get("MODEL_SERVER", ROOT / "target/wasm32-wasip2/release/model_server.wasm")
JAVASCRIPT = pathlib.Path(os.environ.get("JAVASCRIPT", ROOT / "tests/clients/javascript"))
KEY = "team-a-key"
SAID = "I am a stand-in and no model. You said: "
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": name, "description": name, "parameters": CITY}} for name in ("weather", "time")]
CALLS = [("weather", {"city": "Oslo"}), ("time", {"city": "Oslo"})]


class LiteLlm:
    """Asks by the API that its prefix of a model's name says."""

    def __init__(self, address, prefix, base):
        import litellm

        litellm.suppress_debug_info = True
        self.name = f"`litellm`, `{prefix}/`"
        self.litellm, self.prefix, self.base = litellm, prefix, address + base

    def ask(self, model, text, stream, tools):
        return self.litellm.completion(
            model=f"{self.prefix}/{model}",
            api_base=self.base,
            api_key=KEY,
            messages=[{"role": "user", "content": text}],
            stream=stream,
            num_retries=0,
            max_retries=0,
            **({"tools": TOOLS} if tools else {}),
        )

    def answer(self, message):
        calls = [(it.function.name, json.loads(it.function.arguments)) for it in message.tool_calls or []]
        return message.content, calls

    def whole(self, model, text, tools=False):
        return self.answer(self.ask(model, text, False, tools).choices[0].message)

    def stream(self, model, text, tools=False):
        chunks = list(self.ask(model, text, True, tools))
        return self.answer(self.litellm.stream_chunk_builder(chunks).choices[0].message)

    def leave(self, model, text):
        stream = self.ask(model, text, True, False)
        found = next(it.choices[0].delta.content for it in stream if it.choices[0].delta.content)
        stream.completion_stream.close()
        return found


class LangChain:
    def __init__(self, address, responses):
        from langchain_openai import ChatOpenAI

        self.name = f"`langchain-openai`, {'responses' if responses else 'chat completions'}"
        self.client = lambda model: ChatOpenAI(
            model=model, base_url=f"{address}/v1", api_key=KEY, max_retries=0, use_responses_api=responses
        )

    def answer(self, message):
        return message.text, [(it["name"], it["args"]) for it in message.tool_calls]

    def of(self, model, tools):
        client = self.client(model)
        return client.bind_tools(TOOLS) if tools else client

    def whole(self, model, text, tools=False):
        return self.answer(self.of(model, tools).invoke(text))

    def stream(self, model, text, tools=False):
        whole = None
        for it in self.of(model, tools).stream(text):
            whole = it if whole is None else whole + it
        return self.answer(whole)

    def leave(self, model, text):
        stream = self.of(model, False).stream(text)
        found = next(it.text for it in stream if it.text)
        stream.close()
        return found


def equal(what, got, wanted):
    assert got == wanted, f"{what}: {got!r} and not {wanted!r}"


def says(ask, model):
    equal("the text", ask(model, "good day")[0], SAID + "good day")


def fails(client, model):
    told = set()
    for ask in (client.whole, client.stream):
        try:
            ask(model, "good day")
        except Exception as error:
            assert "too many requests" in str(error).lower(), f"the message is {error}"
            told.add(f"`{type(error).__name__}` {getattr(error, 'status_code', '')}".strip())
    assert len(told) == 1, f"a stream fails otherwise than a whole answer: {told}"
    return told.pop()


def leaves(client, model):
    text = client.leave(model, "word " * 30_000)
    assert "I am a stand-in".startswith(text), f"the first text is {text!r}"
    says(client.whole, model)


def python_rows(address):
    """What came of each check, as the other clients print it."""
    clients = [
        LiteLlm(address, "openai", "/v1"),
        LiteLlm(address, "anthropic", ""),
        LangChain(address, False),
        LangChain(address, True),
    ]
    checks = {
        "answer": lambda client, provider: says(client.whole, provider),
        "stream": lambda client, provider: says(client.stream, provider),
        "tools": lambda client, provider: equal("the calls", client.whole(provider, "call Oslo", True)[1], CALLS),
        "tools in a stream": lambda client, provider: equal("the calls", client.stream(provider, "call Oslo", True)[1], CALLS),
        "fail-over": lambda client, provider: (says(client.whole, f"{provider}-busy-next"), says(client.stream, f"{provider}-overloaded-next")),
        "client leaves": leaves,
        "429": lambda client, provider: fails(client, f"{provider}-busy"),
    }
    for client in clients:
        for column, check in checks.items():
            for provider in PROVIDERS:
                row = {"client": client.name, "column": column, "provider": provider}
                try:
                    result = check(client, provider)
                    row["result"] = result if isinstance(result, str) else ""
                except Exception as error:
                    row["error"] = str(error) or type(error).__name__
                yield row


def javascript_rows(address):
    script = JAVASCRIPT / "clients.mjs"
    process = subprocess.run(["node", script, address, *PROVIDERS], capture_output=True, text=True, timeout=300)
    if process.returncode != 0:
        sys.exit(f"node ended with {process.returncode}:\n{process.stderr}")
    return [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]


def table(rows):
    """One line for each client, and one column for each check."""
    columns = list(dict.fromkeys(row["column"] for row in rows))
    lines = [f"| client | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for client in dict.fromkeys(row["client"] for row in rows):
        cells = []
        for column in columns:
            well = {it["provider"]: it["result"] for it in rows if (it["client"], it["column"]) == (client, column) and "result" in it}
            results = list(well.values())
            if column == "429":
                usual = max(results, key=results.count, default="none")
                cells.append("; ".join([usual, *(f"{provider}: {it}" for provider, it in well.items() if it != usual)]))
            else:
                cells.append("all" if list(well) == PROVIDERS else ", ".join(well) or "none")
        lines.append(f"| {client} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main():
    began = time.monotonic()
    with Gateway(BINARY, COMPONENT) as gateway:
        rows = {"JavaScript": javascript_rows(gateway.address), "Python": list(python_rows(gateway.address))}
        logged = gateway.logged()
    page = (ROOT / "docs/models.md").read_text()
    wrong = [f"{it['client']}, {it['column']}, {it['provider']}: {it['error']}" for of in rows.values() for it in of if "error" in it]
    for language, of in rows.items():
        print(f"{language}\n\n{table(of)}")
        if table(of) not in page:
            wrong.append(f"docs/models.md has another table of clients for {language}")
    print(f"{time.monotonic() - began:.1f} s")
    if wrong:
        sys.exit("\n".join([*wrong, "", "the gateway's log ends:", *logged.splitlines()[-20:]]))


main()

"""OpenAI's client reads predictions that are given again, as `examples/predictions.toml` keeps them.

    pip install --requirement tests/clients/requirements.txt
    python tests/clients/predictions.py

Fails where an answer or a stream that is given again is not what it was. GATEWAY and MODEL_SERVER are as in `run.py`.
"""

import openai
from gateway import Gateway
from run import BINARY, COMPONENT, ROOT, SAID, equal

ASKED = [{"role": "user", "content": "good day"}]


def client_of(address, team):
    return openai.OpenAI(base_url=f"{address}/v1", api_key=f"{team}-key", max_retries=0, timeout=60)


def whole(client, **named):
    raw = client.chat.completions.with_raw_response.create(model="chat", messages=ASKED, temperature=0, **named)
    return raw.headers["cache-status"], raw.parse().model_dump()


def chat_stream(client, **named):
    options = {"include_usage": True}
    raw = client.chat.completions.with_raw_response.create(
        model="chat", messages=ASKED, temperature=0, stream=True, stream_options=options, **named
    )
    return raw.headers["cache-status"], [event.model_dump() for event in raw.parse()]


def responses_stream(client, **named):
    raw = client.responses.with_raw_response.create(model="chat", input="good day", temperature=0, stream=True, **named)
    return raw.headers["cache-status"], [event.model_dump() for event in raw.parse()]


def text_of(answer):
    if isinstance(answer, dict):
        return answer["choices"][0]["message"]["content"]
    if "type" in answer[0]:
        return "".join(event["delta"] for event in answer if event["type"] == "response.output_text.delta")
    return "".join(event["choices"][0]["delta"]["content"] or "" for event in answer if event["choices"])


def main():
    with Gateway(BINARY, COMPONENT, ROOT / "examples/predictions.toml") as gateway:
        ada, bob = client_of(gateway.address, "team-a"), client_of(gateway.address, "team-b")
        for ask in (whole, chat_stream, responses_stream):
            name = ask.__name__
            status, first = ask(ada)
            assert status.startswith("predictions; fwd=uri-miss"), f"{name}: {status}"
            equal(f"{name}: the text", text_of(first), SAID + "good day")
            status, again = ask(ada)
            assert status.startswith("predictions; hit"), f"{name}: {status}"
            equal(f"{name}: what is given again", again, first)
            status, _ = ask(bob)
            assert status.startswith("predictions; fwd=uri-miss"), f"{name}, for another team: {status}"
            status, _ = ask(ada, extra_headers={"cache-control": "no-cache"})
            assert status.startswith("predictions; fwd=request"), f"{name}, asked anew: {status}"
            print(f"{name}: given again as it was")


if __name__ == "__main__":
    main()

"""The official clients, each behind the same few calls. Owns what each calls its members and its errors."""

import json
import os

import anthropic
import boto3
import cohere
import ollama
import openai
from botocore.config import Config
from botocore.exceptions import ClientError
from cohere.core.api_error import ApiError
from google import genai
from google.genai import errors, types

from providers import PROVIDERS

KEY = "team-a-key"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = {name: {**PARAMETERS} for name in ("weather", "time")}
# Enough of a stream for a client to leave in the middle.
MOST = 200_000


class Failed(Exception):
    """What the client's user sees of a failure."""

    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message

    def __str__(self):
        """The class of the client's own error and the status in it, or the event that says it."""
        kind = f"`{type(self.__cause__).__name__}`" if self.__cause__ else "event"
        return f"{kind} {self.status}" if self.status else kind


class Client:
    """`told` are the messages so far: ("user", text), ("calls", what the client got), ("results", calls)."""

    raises = ()
    # Providers whose models it can call.
    providers = PROVIDERS

    def status_of(self, error):
        return error.status_code

    def message_of(self, error):
        return str(error)

    def guarded(self, call, *arguments, **named):
        try:
            return call(*arguments, **named)
        except self.raises as error:
            raise Failed(self.status_of(error), self.message_of(error)) from error


def openai_client(address):
    return openai.OpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0, timeout=60)


class Chat(Client):
    name = "`openai`, chat completions"
    raises = (openai.APIError,)

    def __init__(self, address):
        self.client = openai_client(address)

    def status_of(self, error):
        return getattr(error, "status_code", None)

    def request(self, model, told, tools):
        messages = []
        for kind, it in told:
            if kind == "user":
                messages.append({"role": "user", "content": it})
            elif kind == "calls":
                messages.append(it.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}))
                for call in messages[-1]["tool_calls"]:
                    call.pop("index", None)
                    call["function"].pop("parsed_arguments", None)
            else:
                messages += [{"role": "tool", "tool_call_id": id, "content": text} for id, _, text in it]
        request = {"model": model, "messages": messages, "max_completion_tokens": MOST}
        if tools:
            request["tools"] = [{"type": "function", "function": {"name": name, "parameters": it}} for name, it in TOOLS.items()]
        return request

    def answer(self, completion):
        message, usage = completion.choices[0].message, completion.usage
        calls = [(it.id, it.function.name, json.loads(it.function.arguments)) for it in message.tool_calls or []]
        return message.content, (usage.prompt_tokens, usage.completion_tokens), calls, completion.choices[0].finish_reason, message

    def whole(self, model, told, tools=False):
        return self.answer(self.client.chat.completions.create(**self.request(model, told, tools)))

    def stream(self, model, told, tools=False):
        request = self.request(model, told, tools)
        with self.client.chat.completions.stream(**request, stream_options={"include_usage": True}) as stream:
            return self.answer(stream.get_final_completion())

    def leave(self, model, told):
        with self.client.chat.completions.create(**self.request(model, told, False), stream=True) as stream:
            return next(it.choices[0].delta.content for it in stream if it.choices and it.choices[0].delta.content)

    def models(self):
        return [it.id for it in self.client.models.list()]


class Responses(Chat):
    name = "`openai`, responses"

    def request(self, model, told, tools):
        items = []
        for kind, it in told:
            if kind == "user":
                items.append({"role": "user", "content": it})
            elif kind == "calls":
                items += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in it]
            else:
                items += [{"type": "function_call_output", "call_id": id, "output": text} for id, _, text in it]
        request = {"model": model, "input": items, "max_output_tokens": MOST}
        if tools:
            request["tools"] = [{"type": "function", "name": name, "parameters": it, "strict": False} for name, it in TOOLS.items()]
        return request

    def answer(self, response):
        calls = [(it.call_id, it.name, json.loads(it.arguments)) for it in response.output if it.type == "function_call"]
        usage = (response.usage.input_tokens, response.usage.output_tokens)
        return response.output_text, usage, calls, response.status, response.output

    def whole(self, model, told, tools=False):
        return self.answer(self.client.responses.create(**self.request(model, told, tools)))

    def stream(self, model, told, tools=False):
        with self.client.responses.stream(**self.request(model, told, tools)) as stream:
            for event in stream:
                # It raises nothing of this: its user reads the event.
                if event.type == "response.failed":
                    raise Failed(event.type, event.response.error.message)
            return self.answer(stream.get_final_response())

    def leave(self, model, told):
        with self.client.responses.create(**self.request(model, told, False), stream=True) as stream:
            return next(it.delta for it in stream if it.type == "response.output_text.delta")


class Messages(Client):
    name = "`anthropic`, messages"
    raises = (anthropic.APIError,)

    def __init__(self, address):
        self.client = anthropic.Anthropic(base_url=address, api_key=KEY, max_retries=0, timeout=60)

    def status_of(self, error):
        return getattr(error, "status_code", None)

    def request(self, model, told, tools):
        messages = []
        for kind, it in told:
            if kind == "user":
                messages.append({"role": "user", "content": it})
            elif kind == "calls":
                content = [block.model_dump(exclude_none=True, mode="json", include={"type", "id", "name", "input", "text"}) for block in it]
                messages.append({"role": "assistant", "content": content})
            else:
                content = [{"type": "tool_result", "tool_use_id": id, "content": text} for id, _, text in it]
                messages.append({"role": "user", "content": content})
        request = {"model": model, "messages": messages, "max_tokens": MOST}
        if tools:
            request["tools"] = [{"name": name, "input_schema": it} for name, it in TOOLS.items()]
        return request

    def answer(self, message):
        text = "".join(it.text for it in message.content if it.type == "text")
        calls = [(it.id, it.name, it.input) for it in message.content if it.type == "tool_use"]
        usage = (message.usage.input_tokens, message.usage.output_tokens)
        return text, usage, calls, message.stop_reason, message.content

    def whole(self, model, told, tools=False):
        return self.answer(self.client.messages.create(**self.request(model, told, tools)))

    def stream(self, model, told, tools=False):
        with self.client.messages.stream(**self.request(model, told, tools)) as stream:
            return self.answer(stream.get_final_message())

    def leave(self, model, told):
        with self.client.messages.stream(**self.request(model, told, False)) as stream:
            return next(iter(stream.text_stream))

    def models(self):
        return [it.id for it in self.client.models.list()]


class Gemini(Client):
    name = "`google-genai`"
    raises = (errors.APIError,)

    def __init__(self, address):
        options = types.HttpOptions(base_url=address, timeout=60_000, retry_options=types.HttpRetryOptions(attempts=1))
        self.client = genai.Client(api_key=KEY, http_options=options)

    def status_of(self, error):
        return error.code

    def message_of(self, error):
        return error.message or ""

    def request(self, model, told, tools):
        contents = []
        for kind, it in told:
            if kind == "user":
                contents.append(types.Content(role="user", parts=[types.Part(text=it)]))
            elif kind == "calls":
                contents.append(types.Content(role="model", parts=it))
            else:
                parts = [types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": text})) for call, _, text in it]
                contents.append(types.Content(role="user", parts=parts))
        config = types.GenerateContentConfig(max_output_tokens=MOST)
        if tools:
            functions = [types.FunctionDeclaration(name=name, parameters_json_schema=it) for name, it in TOOLS.items()]
            config.tools = [types.Tool(function_declarations=functions)]
            config.automatic_function_calling = types.AutomaticFunctionCallingConfig(disable=True)
        return {"model": model, "contents": contents, "config": config}

    def answer(self, pieces):
        parts = [part for it in pieces for candidate in it.candidates or [] for part in (candidate.content and candidate.content.parts) or []]
        text = "".join(it.text for it in parts if it.text and not it.thought)
        calls = [(it.function_call, it.function_call.name, it.function_call.args) for it in parts if it.function_call]
        usage = pieces[-1].usage_metadata
        reason = pieces[-1].candidates[0].finish_reason.value
        return text, (usage.prompt_token_count, usage.candidates_token_count), calls, reason, parts

    def whole(self, model, told, tools=False):
        return self.answer([self.client.models.generate_content(**self.request(model, told, tools))])

    def stream(self, model, told, tools=False):
        return self.answer(list(self.client.models.generate_content_stream(**self.request(model, told, tools))))

    def leave(self, model, told):
        stream = self.client.models.generate_content_stream(**self.request(model, told, False))
        text = next(it.text for it in stream if it.text)
        stream.close()
        return text

    def models(self):
        return [it.name.removeprefix("models/") for it in self.client.models.list()]


class Ollama(Client):
    name = "`ollama`"
    raises = (ollama.ResponseError,)

    def __init__(self, address):
        self.client = ollama.Client(host=address, headers={"authorization": f"Bearer {KEY}"}, timeout=60)

    def message_of(self, error):
        return error.error

    def request(self, model, told, tools):
        messages = []
        for kind, it in told:
            if kind == "user":
                messages.append({"role": "user", "content": it})
            elif kind == "calls":
                messages.append({"role": "assistant", "tool_calls": it})
            else:
                messages += [{"role": "tool", "tool_name": name, "content": text} for _, name, text in it]
        request = {"model": model, "messages": messages, "options": {"num_predict": MOST}}
        if tools:
            request["tools"] = [{"type": "function", "function": {"name": name, "description": "", "parameters": it}} for name, it in TOOLS.items()]
        return request

    def answer(self, pieces):
        text = "".join(it.message.content or "" for it in pieces)
        got = [call for it in pieces for call in it.message.tool_calls or []]
        calls = [(None, it.function.name, dict(it.function.arguments)) for it in got]
        last = pieces[-1]
        return text, (last.prompt_eval_count, last.eval_count), calls, last.done_reason, got

    def whole(self, model, told, tools=False):
        return self.answer([self.client.chat(**self.request(model, told, tools))])

    def stream(self, model, told, tools=False):
        return self.answer(list(self.client.chat(**self.request(model, told, tools), stream=True)))

    def leave(self, model, told):
        stream = self.client.chat(**self.request(model, told, False), stream=True)
        text = next(it.message.content for it in stream if it.message.content)
        stream.close()
        return text

    def models(self):
        return [it.model for it in self.client.list().models]


class Converse(Client):
    name = "`boto3`, Converse"
    raises = (ClientError,)
    providers = ["bedrock"]

    def __init__(self, address):
        # A key of the gateway in the place of one of Bedrock's.
        os.environ["AWS_BEARER_TOKEN_BEDROCK"] = KEY
        config = Config(retries={"total_max_attempts": 1}, read_timeout=60)
        self.client = boto3.client("bedrock-runtime", endpoint_url=address, region_name="us-east-1", config=config)

    def status_of(self, error):
        return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")

    def message_of(self, error):
        return error.response["Error"]["Message"]

    def request(self, model, told, tools):
        messages = []
        for kind, it in told:
            if kind == "user":
                messages.append({"role": "user", "content": [{"text": it}]})
            elif kind == "calls":
                messages.append({"role": "assistant", "content": it})
            else:
                results = [{"toolResult": {"toolUseId": id, "content": [{"text": text}]}} for id, _, text in it]
                messages.append({"role": "user", "content": results})
        request = {"modelId": model, "messages": messages, "inferenceConfig": {"maxTokens": MOST}}
        if tools:
            specs = [{"toolSpec": {"name": name, "inputSchema": {"json": it}}} for name, it in TOOLS.items()]
            request["toolConfig"] = {"tools": specs}
        return request

    def answer(self, content, usage, reason):
        text = "".join(it.get("text", "") for it in content)
        calls = [it["toolUse"] for it in content if "toolUse" in it]
        calls = [(it["toolUseId"], it["name"], it["input"]) for it in calls]
        return text, (usage["inputTokens"], usage["outputTokens"]), calls, reason, content

    def whole(self, model, told, tools=False):
        got = self.client.converse(**self.request(model, told, tools))
        return self.answer(got["output"]["message"]["content"], got["usage"], got["stopReason"])

    def stream(self, model, told, tools=False):
        content, usage, reason = [], None, None
        for event in self.client.converse_stream(**self.request(model, told, tools))["stream"]:
            if start := event.get("contentBlockStart"):
                content.append({"toolUse": {**start["start"]["toolUse"], "input": ""}})
            elif delta := event.get("contentBlockDelta"):
                if "toolUse" in delta["delta"]:
                    content[-1]["toolUse"]["input"] += delta["delta"]["toolUse"]["input"]
                else:
                    content.append({"text": delta["delta"]["text"]})
            elif stop := event.get("messageStop"):
                reason = stop["stopReason"]
            elif end := event.get("metadata"):
                usage = end["usage"]
        for it in content:
            if "toolUse" in it:
                it["toolUse"]["input"] = json.loads(it["toolUse"]["input"])
        return self.answer(content, usage, reason)

    def leave(self, model, told):
        stream = self.client.converse_stream(**self.request(model, told, False))["stream"]
        text = next(it["contentBlockDelta"]["delta"]["text"] for it in stream if "contentBlockDelta" in it)
        stream.close()
        return text

    # It has no call that lists what it may converse with.
    models = None


class Cohere(Client):
    name = "`cohere`"
    raises = (ApiError,)
    providers = ["cohere"]

    def __init__(self, address):
        self.client = cohere.ClientV2(api_key=KEY, base_url=address, timeout=60)

    def message_of(self, error):
        return error.body["message"]

    def request(self, model, told, tools):
        messages = []
        for kind, it in told:
            if kind == "user":
                messages.append({"role": "user", "content": it})
            elif kind == "calls":
                messages.append({"role": "assistant", "tool_calls": it})
            else:
                messages += [{"role": "tool", "tool_call_id": id, "content": text} for id, _, text in it]
        request = {"model": model, "messages": messages, "max_tokens": MOST, "request_options": {"max_retries": 0}}
        if tools:
            request["tools"] = [{"type": "function", "function": {"name": name, "parameters": it}} for name, it in TOOLS.items()]
        return request

    def answer(self, text, usage, calls, reason):
        billed = (int(usage.billed_units.input_tokens), int(usage.billed_units.output_tokens))
        got = [(it["id"], it["function"]["name"], json.loads(it["function"]["arguments"])) for it in calls]
        # In the words of most APIs.
        return text, billed, got, {"COMPLETE": "stop", "TOOL_CALL": "tool_calls"}.get(reason, reason), calls

    def whole(self, model, told, tools=False):
        got = self.client.chat(**self.request(model, told, tools))
        text = "".join(it.text for it in got.message.content or [])
        calls = [it.model_dump(exclude_none=True) for it in got.message.tool_calls or []]
        return self.answer(text, got.usage, calls, got.finish_reason)

    def stream(self, model, told, tools=False):
        text, calls, end = "", [], None
        for event in self.client.chat_stream(**self.request(model, told, tools)):
            if event.type == "content-delta":
                text += event.delta.message.content.text
            elif event.type == "tool-call-start":
                calls.append(event.delta.message.tool_calls.model_dump(exclude_none=True))
            elif event.type == "tool-call-delta":
                calls[-1]["function"]["arguments"] += event.delta.message.tool_calls.function.arguments
            elif event.type == "message-end":
                end = event.delta
        # It raises nothing of this: its user reads the event.
        if end.finish_reason == "ERROR":
            raise Failed("message-end", end.error)
        return self.answer(text, end.usage, calls, end.finish_reason)

    def leave(self, model, told):
        stream = self.client.chat_stream(**self.request(model, told, False))
        text = next(it.delta.message.content.text for it in stream if it.type == "content-delta")
        stream.close()
        return text

    # Its list of models is another version of the API.
    models = None


ALL = [Chat, Responses, Messages, Gemini, Ollama, Converse, Cohere]

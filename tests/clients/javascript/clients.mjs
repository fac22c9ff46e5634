// The clients for JavaScript, each behind the same few calls. Prints one JSON object for each check: which client, which
// column of the table, which provider, and what came of it.
//
//     node clients.mjs ADDRESS PROVIDER...

import Anthropic from "@anthropic-ai/sdk";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { GoogleGenAI } from "@google/genai";
import { generateText, jsonSchema, streamText, tool } from "ai";
import { Ollama } from "ollama";
import OpenAI from "openai";

const [address, ...providers] = process.argv.slice(2);
const KEY = "team-a-key";
const SAID = "I am a stand-in and no model. You said: ";
const CITY = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const NAMES = ["weather", "time"];
const chat = (text) => [{ role: "user", content: text }];
const functions = NAMES.map((name) => ({ type: "function", function: { name, description: "", parameters: CITY } }));

// What a client gives: the text, and the calls of tools as names and arguments.
const OPENAI = () => {
  const client = new OpenAI({ baseURL: `${address}/v1`, apiKey: KEY, maxRetries: 0 });
  const answer = (message) => ({
    text: message.content,
    calls: (message.tool_calls ?? []).map((it) => [it.function.name, JSON.parse(it.function.arguments)]),
  });
  const request = (model, text, tools) => ({ model, messages: chat(text), ...(tools && { tools: functions }) });
  return {
    name: "`openai`, chat completions",
    whole: async (...asked) => answer((await client.chat.completions.create(request(...asked))).choices[0].message),
    stream: async (...asked) => answer(await client.chat.completions.stream(request(...asked)).finalMessage()),
    leave: async (model, text) => {
      const stream = await client.chat.completions.create({ ...request(model, text), stream: true });
      for await (const it of stream) if (it.choices[0]?.delta?.content) return it.choices[0].delta.content;
    },
  };
};

const RESPONSES = () => {
  const client = new OpenAI({ baseURL: `${address}/v1`, apiKey: KEY, maxRetries: 0 });
  const tools = NAMES.map((name) => ({ type: "function", name, parameters: CITY, strict: false }));
  const request = (model, input, asks) => ({ model, input, ...(asks && { tools }) });
  const answer = (response) => ({
    text: response.output_text,
    calls: response.output.filter((it) => it.type === "function_call").map((it) => [it.name, JSON.parse(it.arguments)]),
  });
  return {
    name: "`openai`, responses",
    whole: async (...asked) => answer(await client.responses.create(request(...asked))),
    stream: async (...asked) => answer(await client.responses.stream(request(...asked)).finalResponse()),
    leave: async (model, text) => {
      const stream = await client.responses.create({ ...request(model, text), stream: true });
      for await (const it of stream) if (it.type === "response.output_text.delta") return it.delta;
    },
  };
};

const ANTHROPIC = () => {
  const client = new Anthropic({ baseURL: address, apiKey: KEY, maxRetries: 0 });
  const tools = NAMES.map((name) => ({ name, input_schema: CITY }));
  const request = (model, text, asks) => ({ model, max_tokens: 20_000, messages: chat(text), ...(asks && { tools }) });
  const answer = (message) => ({
    text: message.content.filter((it) => it.type === "text").map((it) => it.text).join(""),
    calls: message.content.filter((it) => it.type === "tool_use").map((it) => [it.name, it.input]),
  });
  return {
    name: "`@anthropic-ai/sdk`",
    whole: async (...asked) => answer(await client.messages.create(request(...asked))),
    stream: async (...asked) => answer(await client.messages.stream(request(...asked)).finalMessage()),
    leave: async (model, text) => {
      const stream = await client.messages.create({ ...request(model, text), stream: true });
      for await (const it of stream) if (it.delta?.text) return it.delta.text;
    },
  };
};

const GEMINI = () => {
  const client = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: address } });
  const tools = [{ functionDeclarations: NAMES.map((name) => ({ name, parametersJsonSchema: CITY })) }];
  const request = (model, contents, asks) => ({ model, contents, ...(asks && { config: { tools } }) });
  const answer = (pieces) => {
    const parts = pieces.flatMap((it) => it.candidates?.[0]?.content?.parts ?? []);
    return {
      text: parts.filter((it) => it.text && !it.thought).map((it) => it.text).join(""),
      calls: parts.filter((it) => it.functionCall).map((it) => [it.functionCall.name, it.functionCall.args]),
    };
  };
  return {
    name: "`@google/genai`",
    whole: async (...asked) => answer([await client.models.generateContent(request(...asked))]),
    stream: async (...asked) => {
      const pieces = [];
      for await (const it of await client.models.generateContentStream(request(...asked))) pieces.push(it);
      return answer(pieces);
    },
    leave: async (model, text) => {
      for await (const it of await client.models.generateContentStream(request(model, text))) if (it.text) return it.text;
    },
  };
};

const OLLAMA = () => {
  const client = new Ollama({ host: address, headers: { authorization: `Bearer ${KEY}` } });
  const request = (model, text, asks) => ({ model, messages: chat(text), ...(asks && { tools: functions }) });
  const answer = (pieces) => ({
    text: pieces.map((it) => it.message.content ?? "").join(""),
    calls: pieces.flatMap((it) => it.message.tool_calls ?? []).map((it) => [it.function.name, it.function.arguments]),
  });
  return {
    name: "`ollama`",
    whole: async (...asked) => answer([await client.chat(request(...asked))]),
    stream: async (...asked) => {
      const pieces = [];
      for await (const it of await client.chat({ ...request(...asked), stream: true })) pieces.push(it);
      return answer(pieces);
    },
    leave: async (model, text) => {
      for await (const it of await client.chat({ ...request(model, text), stream: true })) if (it.message.content) return it.message.content;
    },
  };
};

// Vercel's SDK throws inside of a stream by a part of it.
const vercel = (name, of) => () => {
  const tools = Object.fromEntries(NAMES.map((name) => [name, tool({ description: name, inputSchema: jsonSchema(CITY) })]));
  const request = (model, prompt, asks) => ({ model: of(model), prompt, maxRetries: 0, ...(asks && { tools }) });
  const answer = (text, calls) => ({ text, calls: calls.map((it) => [it.toolName, it.input]) });
  const parts = async function* (asked) {
    const result = streamText({ ...request(...asked), onError: () => {} });
    for await (const part of result.fullStream) {
      if (part.type === "error") throw part.error;
      yield part;
    }
  };
  return {
    name,
    whole: async (...asked) => {
      const result = await generateText(request(...asked));
      return answer(result.text, result.toolCalls);
    },
    stream: async (...asked) => {
      const all = await Array.fromAsync(parts(asked));
      const text = all.filter((it) => it.type === "text-delta").map((it) => it.text).join("");
      return answer(text, all.filter((it) => it.type === "tool-call"));
    },
    leave: async (model, text) => {
      const controller = new AbortController();
      const result = streamText({ ...request(model, text), abortSignal: controller.signal, onError: () => {} });
      for await (const it of result.textStream) {
        controller.abort();
        return it;
      }
    },
  };
};

const openai = createOpenAI({ baseURL: `${address}/v1`, apiKey: KEY });
const anthropic = createAnthropic({ baseURL: `${address}/v1`, apiKey: KEY });
const ALL = [
  OPENAI,
  RESPONSES,
  ANTHROPIC,
  GEMINI,
  OLLAMA,
  vercel("`ai`, `@ai-sdk/openai` (responses)", (model) => openai(model)),
  vercel("`ai`, `@ai-sdk/openai` (chat)", (model) => openai.chat(model)),
  vercel("`ai`, `@ai-sdk/anthropic`", (model) => anthropic(model)),
];

const equal = (what, got, wanted) => {
  if (JSON.stringify(got) !== JSON.stringify(wanted)) throw new Error(`${what}: ${JSON.stringify(got)} and not ${JSON.stringify(wanted)}`);
};
const says = async (ask, model) => equal("the text", (await ask(model, "good day")).text, `${SAID}good day`);
const calls = async (ask, model) => {
  const { calls } = await ask(model, "call Oslo", true);
  equal("the calls", calls, [["weather", { city: "Oslo" }], ["time", { city: "Oslo" }]]);
};
// In the order of the columns, which an object would not keep of one that is a number.
const CHECKS = new Map(Object.entries({
  answer: (client, provider) => says(client.whole, provider),
  stream: (client, provider) => says(client.stream, provider),
  tools: (client, provider) => calls(client.whole, provider),
  "tools in a stream": (client, provider) => calls(client.stream, provider),
  "fail-over": async (client, provider) => {
    await says(client.whole, `${provider}-busy-next`);
    await says(client.stream, `${provider}-overloaded-next`);
  },
  "client leaves": async (client, provider) => {
    const text = await client.leave(provider, "word ".repeat(30_000));
    if (!"I am a stand-in".startsWith(text)) throw new Error(`the first text is ${text}`);
    await says(client.whole, provider);
  },
}));
CHECKS.set("429", async (client, provider) => {
  const told = new Set();
  for (const ask of [client.whole, client.stream]) {
    try {
      await ask(`${provider}-busy`, "good day");
    } catch (error) {
      if (!/too many requests/i.test(error.message)) throw new Error(`the message is ${error.message}`);
      told.add(`\`${error.constructor.name}\` ${error.status ?? error.statusCode ?? error.status_code ?? ""}`.trim());
    }
  }
  if (told.size !== 1) throw new Error(`a stream fails otherwise than a whole answer: ${[...told]}`);
  return [...told][0];
});

for (const make of ALL) {
  const client = make();
  for (const [column, check] of CHECKS) {
    for (const provider of providers) {
      const row = { client: client.name, column, provider };
      try {
        row.result = (await check(client, provider)) ?? "";
      } catch (error) {
        row.error = String(error.message ?? error);
      }
      console.log(JSON.stringify(row));
    }
  }
}
process.exit(0);

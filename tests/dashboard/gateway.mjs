// A real gateway from the built binary, real upstreams and a mixed load. Owns the configuration, the processes
// and their end.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request as ask, Agent } from "node:http";
import { createServer as createSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const sha256 = (text) => createHash("sha256").update(text).digest("hex");
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const TOKEN = "a-token-for-the-dashboard";
const KEYS = { "key-of-acme": "acme", "key-of-zenith": "zenith", "key-of-orbit": "orbit" };
/** A path that would run, were it ever taken for markup. */
export const MARKUP = "/orders/<img/src=x/onerror=window.__pwned=1>";

function port() {
  return new Promise((resolve) => {
    const socket = createSocket().listen(0, "127.0.0.1", () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

/** Answers after some time, now and then late or not well. */
function service({ base, spread, late = 0, bad = 0 }) {
  let count = 0;
  return createServer((request, response) => {
    count += 1;
    const isLate = late && count % late === 0;
    const time = isLate ? 620 : base + (count * 7919 % 100) / 100 * spread;
    request.resume();
    setTimeout(() => {
      const status = bad && count % bad === 0 ? 500 : request.method === "POST" ? 201 : 200;
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify({ path: request.url, items: new Array(12).fill("an item of the answer") }));
    }, time);
  });
}

/** A model of OpenAI's API: a stream of some tokens, or now and then an error. */
function model() {
  let count = 0;
  return createServer((request, response) => {
    count += 1;
    const chosen = count;
    request.resume();
    if (chosen % 9 === 0) {
      response.writeHead(429, { "content-type": "application/json", "retry-after": "2" });
      response.end(JSON.stringify({ error: { message: "Too many tokens.", type: "rate_limit_error" } }));
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    const event = (it) => response.write(`data: ${JSON.stringify(it)}\n\n`);
    setTimeout(() => event({ choices: [{ index: 0, delta: { content: "good" } }] }), 20);
    setTimeout(() => {
      event({ choices: [{ index: 0, delta: { content: " day" }, finish_reason: "stop" }] });
      event({ choices: [], usage: { prompt_tokens: 40, completion_tokens: 8, total_tokens: 48 } });
      response.end("data: [DONE]\n\n");
    }, 120);
  });
}

const listen = (server) => new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));

function configuration({ gateway, admin, orders, search, model, token, usage }) {
  const keys = Object.entries(KEYS).map(([key, consumer]) => `[[plugins.keys.config.api_key.keys]]\nid = "${consumer}"\ndigest = "sha256:${sha256(key)}"\nconsumer = "${consumer}"\n`).join("");
  return `
[gateway]
workers = 2
shutdown_grace = "100ms"

[admin]
address = "127.0.0.1:${admin}"
${token ? `token = "sha256:${sha256(TOKEN)}"` : ""}
${usage ? '\n[usage]\nstore = "usage.db"\nflush = "1s"\n' : ""}
[recorder]
slow = "500ms"
sample = 0.2

[[listeners]]
name = "public"
address = "127.0.0.1:${gateway}"

[upstreams.orders]
targets = ["http://127.0.0.1:${orders[0]}", "http://127.0.0.1:${orders[1]}"]

[upstreams.search]
targets = ["http://127.0.0.1:${search}"]

[upstreams.billing]
targets = ["http://127.0.0.1:1"]

[upstreams.own]
targets = ["http://127.0.0.1:${model}"]

[upstreams.hosted]
targets = ["http://127.0.0.1:${model}"]

[plugins.models]
component = "models"
forward_to = ["own", "hosted"]
limits = { deadline = "1s", memory = "128MiB" }
[plugins.models.config.deployments.gpu]
upstream = "own"
provider = "openai"
model = "llama"
concurrency = { limit = 2, queue = 50 }
[plugins.models.config.deployments.gpt]
upstream = "hosted"
provider = "openai"
model = "gpt"
price = { input = "0.40", output = "1.60" }
[plugins.models.config.models.chat]
aliases = ["gpt-4o-mini"]
deployments = [{ name = "gpu" }, { name = "gpt", priority = 1 }]

[plugins.keys]
component = "auth"
limits = { deadline = "1s" }
${keys}
[plugins.limit]
component = "rate-limit"
limits = { deadline = "1s" }
[[plugins.limit.config.policies]]
name = "per-second"
limit = 9
window = "1s"
key = ["consumer.id"]

[plugins.shape]
component = "transform"
limits = { deadline = "1s" }
config.response.headers.set.x-served-for = "\${consumer.id}"

[plugins.trials]
component = "experiments"
limits = { deadline = "1s" }
[plugins.trials.config]
unit = ["header:x-unit"]
holdout = { share = 10 }
exposures = { usage = false }
[[plugins.trials.config.experiments]]
name = "checkout"
header = "x-checkout"
variants = [{ name = "old", weight = 1 }, { name = "new", weight = 1 }]
guardrail = { control = "old", errors = 50 }

[[routes]]
name = "orders"
paths = ["/orders", "/orders/{*id}"]
methods = ["GET", "POST"]
plugins = ["keys", "trials", "shape"]
upstream = "orders"

[[routes]]
name = "search"
paths = ["/search"]
plugins = ["keys", "limit", "shape"]
split = { variants = [{ name = "now", upstream = "search", weight = 3 }, { name = "next", upstream = "orders", weight = 1 }] }
retries = { attempts = 2, on = ["connect"], statuses = [503] }
mirror = { upstream = "orders", ratio = 0.5 }

[[routes]]
name = "billing/v1"
paths = ["/billing/{*rest}"]
plugins = ["keys"]
upstream = "billing"

[[routes]]
name = "models"
paths = ["/v1/{*rest}"]
plugins = ["keys", "models"]
upstream = "own"

[[routes]]
name = "status"
paths = ["/status"]
respond = { body = "ok" }

[[routes]]
name = "never-asked"
paths = ["/never"]
respond = { status = 204 }
`;
}

/** Starts all of it. `stop` ends all of it. */
export async function start({ binary, token = false, usage = true }) {
  const folder = mkdtempSync(join(tmpdir(), "gateway-dashboard-"));
  const servers = [service({ base: 3, spread: 12, bad: 97 }), service({ base: 4, spread: 14, late: 160 }), service({ base: 18, spread: 60, late: 70 }), model()];
  const [one, two, search, ai] = await Promise.all(servers.map(listen));
  const [gateway, admin] = [await port(), await port()];
  const file = join(folder, "gateway.toml");
  const text = configuration({ gateway, admin, orders: [one, two], search, model: ai, token, usage });
  writeFileSync(file, text);
  const log = [];
  const child = spawn(binary, ["run", file], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, GATEWAY_LOG: "info" } });
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => { log.push(String(data)); if (log.length > 200) log.shift(); });
  const stop = async () => {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    if (child.exitCode === null) {
      child.kill("SIGTERM");
      await Promise.race([ended, sleep(5000).then(() => child.kill("SIGKILL"))]);
    }
    for (const server of servers) { server.close(); server.closeAllConnections(); }
    rmSync(folder, { recursive: true, force: true });
  };
  for (let tries = 0; ; tries += 1) {
    const answer = await fetch(`http://127.0.0.1:${admin}/readyz`).catch(() => null);
    if (answer?.status === 200) break;
    if (tries > 1200 || child.exitCode !== null) {
      await stop();
      throw new Error(`the gateway does not start:\n${log.join("")}`);
    }
    await sleep(100);
  }
  return { admin: `http://127.0.0.1:${admin}`, gateway, file, text, child, stop, log };
}

/** A mixed load, until it is stopped: several routes and consumers, refused, limited and failing requests. */
export function load(port) {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  const keys = Object.keys(KEYS);
  let isOver = false;
  const once = (path, { method = "GET", key, body, headers } = {}) => new Promise((resolve) => {
    const sent = ask({ host: "127.0.0.1", port, path, method, agent, headers: { ...(key ? { "x-api-key": key } : {}), ...headers } }, (answer) => { answer.resume(); answer.on("end", resolve); answer.on("error", resolve); });
    sent.on("error", resolve);
    sent.end(body);
  });
  const every = async (ms, what) => {
    for (let count = 0; !isOver; count += 1) {
      // A wave, so that charts are no straight lines.
      const wave = 1 + 0.45 * Math.sin(Date.now() / 9000) + 0.2 * Math.sin(Date.now() / 2300);
      what(count);
      await sleep(ms / wave);
    }
  };
  const runs = [
    every(9, (count) => once(`/orders/${count % 500}`, { key: keys[count % 3 === 2 ? 1 : 0], headers: { "x-unit": `unit-${count % 700}` } })),
    every(60, (count) => once("/orders", { method: "POST", key: keys[0], body: JSON.stringify({ count }) })),
    every(40, (count) => once(`/search?q=item-${count % 40}`, { key: keys[count % 5 === 0 ? 2 : 1] })),
    every(900, () => once("/orders/7")),
    every(1400, () => once("/not/there", { key: keys[0] })),
    every(2600, () => once("/billing/v1/invoice", { key: keys[1] })),
    every(25, () => once("/status")),
    every(70, (count) => once("/v1/chat/completions", { method: "POST", key: keys[count % 3], headers: { "content-type": "application/json" }, body: JSON.stringify({ model: count % 40 ? "chat" : "no-such-model", stream: true, messages: [{ role: "user", content: "good day" }] }) })),
    every(4000, () => once(encodeURI(MARKUP).replaceAll("%3C", "<").replaceAll("%3E", ">"), { headers: { "x-api-key": "<b>no key</b>" } })),
  ];
  return { stop: async () => { isOver = true; await Promise.all(runs); agent.destroy(); } };
}

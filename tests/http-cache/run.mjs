// The public test suite for HTTP caches (https://cache-tests.fyi) against the plugin `cache` of a real gateway.
//
//     git clone https://github.com/http-tests/cache-tests && (cd cache-tests && npm install undici)
//     node tests/http-cache/run.mjs cache-tests
//
// Prints how many of the tests are passed and why others are not, and fails if there are fewer than there have to be. GATEWAY
// names the program where it is not that of `cargo build`. It is run by hand: the package of the suite on npm is an older one.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

if (!process.argv[2]) throw new Error("name the folder of the suite");
const suite = resolve(process.argv[2]);
const load = (file) => import(pathToFileURL(join(suite, file)));
const { getResults, runTests } = await load("test-engine/client/runner.mjs");
const { determineTestResult, resultTypes } = await load("test-engine/lib/results.mjs");
const { default: suites } = await load("tests/index.mjs");

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const binary = process.env.GATEWAY ?? join(root, "target/debug/gateway");
const folder = mkdtempSync(join(tmpdir(), "http-cache-"));
const started = [];

// Below the ports that the system gives to those who connect: who looks whether somebody listens must not be given the
// one that it asks for, and so connect to itself.
function freePort() {
  return new Promise((done) => {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const socket = createServer().on("error", () => done(freePort()));
    socket.listen(port, "127.0.0.1", () => socket.close(() => done(port)));
  });
}

async function listens(port, child) {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; ) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} has ended with ${child.exitCode}`);
    const is = await new Promise((done) => {
      const socket = connect(port, "127.0.0.1", () => done(socket.end())).on("error", () => done(null));
    });
    if (is !== null) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`nothing listens on ${port}`);
}

function start(program, args, env) {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "ignore", "inherit"] });
  started.push(child);
  return child;
}

// What a cache is free to do is as the suite tests it: cookies are stored, and stale responses stand in for a server that is gone.
const configuration = (port, origin) => `
[[listeners]]
name = "public"
address = "127.0.0.1:${port}"
[upstreams.origin]
targets = ["http://127.0.0.1:${origin}"]
[plugins.cache]
component = "cache"
[plugins.cache.config]
set_cookie = "keep"
stale_if_error = "1h"
[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["cache"]
upstream = "origin"
`;

/** What the tests show: how many passed of each kind, and those that did not, with the reason. */
function outcome(results) {
  const counts = {};
  const left = {};
  for (const test of suites.flatMap((suite) => suite.tests)) {
    const kind = test.kind ?? "required";
    if (test.browser_only || kind === "check") continue;
    const result = determineTestResult(suites, test.id, results);
    counts[kind] ??= { passed: 0, all: 0 };
    counts[kind].all += 1;
    if (result === resultTypes.pass) counts[kind].passed += 1;
    else left[test.id] = `${kind}: ${results[test.id] === true ? "a test that it depends on" : results[test.id]}`;
  }
  return { counts, left };
}

/** How many have to be passed. */
const LEAST = { required: 159, optimal: 95 };

try {
  const [port, origin] = [await freePort(), await freePort()];
  const server = join(suite, "test-engine/server/server.mjs");
  const env = { npm_config_protocol: "http", npm_config_port: String(origin), npm_config_pidfile: join(folder, "pid") };
  await listens(origin, start(process.execPath, ["--no-warnings", server], env));
  const file = join(folder, "gateway.toml");
  writeFileSync(file, configuration(port, origin));
  await listens(port, start(binary, ["run", file], {}));
  await runTests(suites, false, `http://127.0.0.1:${port}`);
  const { counts, left } = outcome(getResults());
  console.log(JSON.stringify(counts));
  for (const [id, why] of Object.entries(left)) console.log(`${id} (${why})`);
  if (Object.entries(LEAST).some(([kind, least]) => counts[kind].passed < least)) process.exitCode = 1;
} finally {
  for (const child of started) child.kill();
  rmSync(folder, { recursive: true, force: true });
}

// The official clients in JavaScript, v1 and v2, each with the same checks. Arguments: the folder of the packages, the
// address of the gateway. Prints what was seen, as JSON.

import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, address] = process.argv.slice(2);
const require = createRequire(resolve(folder, 'package.json'));
const load = async (name) => import(pathToFileURL(require.resolve(name)));

const v1 = { ...(await load('@modelcontextprotocol/sdk/client/index.js')), ...(await load('@modelcontextprotocol/sdk/client/streamableHttp.js')) };
const v2 = await load('@modelcontextprotocol/client');

const url = new URL(`${address}/mcp`);

async function connect(library, key, options) {
  const client = new library.Client({ name: 'check', version: '1' }, options);
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  await client.connect(new library.StreamableHTTPClientTransport(url, { requestInit: { headers } }));
  return client;
}

// What the client's user sees of a failure.
async function caught(call) {
  try {
    await call();
    return 'nothing';
  } catch (error) {
    return { class: error.constructor.name, code: error.code, text: error.message };
  }
}

async function see(library, options) {
  const seen = {};
  const client = await connect(library, 'team-a-key', options);
  seen.tools = (await client.listTools()).tools.map((it) => it.name).sort();
  seen.prompts = (await client.listPrompts()).prompts.map((it) => it.name);
  seen.resources = (await client.listResources()).resources.map((it) => it.uri);
  const call = (name, args, ...more) => client.callTool({ name, arguments: args }, ...more);
  seen.add = (await call('add', { a: 2, b: 3 })).content[0].text;
  seen.fails = (await call('fail', {})).isError;
  let progress = 0;
  const counts = { onprogress: () => { progress += 1; } };
  seen.count = (await (library === v1 ? call('count', { to: 5 }, undefined, counts) : call('count', { to: 5 }, counts))).content[0].text;
  seen.progress = progress;
  seen.interrupted = (await call('interrupted', {})).content[0].text;
  seen.where = [];
  for (let turn = 0; turn < 6; turn += 1) seen.where.push((await call('where', {})).content[0].text);
  seen.refused = await caught(() => call('files_delete', { path: '/etc' }));
  seen.secret = await caught(() => client.readResource({ uri: 'salaries://all' }));
  await client.close();
  const other = await connect(library, 'team-b-key', options);
  seen.others = (await other.listTools()).tools.map((it) => it.name).sort();
  seen.limited = await caught(async () => {
    for (let turn = 0; turn < 60; turn += 1) await other.callTool({ name: 'add', arguments: { a: 1, b: 1 } });
  });
  await other.close();
  seen.nobody = await caught(() => connect(library, undefined, options));
  return seen;
}

const versions = { v1: [v1, {}], v2: [v2, { versionNegotiation: { mode: 'auto' } }] };
const all = {};
for (const [name, [library, options]] of Object.entries(versions)) {
  all[name] = await see(library, options).catch((error) => ({ failed: String(error.stack) }));
}
console.log(JSON.stringify(all));
process.exit(0);

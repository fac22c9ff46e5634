#!/usr/bin/env bash
# Version 1 of the official client of MCP in JavaScript takes the session's id from every response that has `Mcp-Session-Id`, and
# not only from that of `initialize`, as the specification has it and version 2 and the client in Python do. The official server
# in Python says the id in each response. So a gateway that writes session ids anew, to know where a session lives, and does it in
# the response of `initialize` alone, loses the sessions of this client with the second response.
#
# Seen with @modelcontextprotocol/sdk 1.32.2 and @modelcontextprotocol/client 2.4.0 on Node.js 20.20.2 (npm):
#     sdk 1.32.2: sent first, then other
#     client 2.4.0: sent first, then first
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-audit --no-fund @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0
cat > ask.mjs <<'JS'
import { createServer } from 'node:http';
import * as v1 from '@modelcontextprotocol/sdk/client/index.js';
import * as transport from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as v2 from '@modelcontextprotocol/client';

let sent = [];
const server = createServer(async (request, response) => {
  let text = '';
  for await (const part of request) text += part;
  const { id, method, params } = text ? JSON.parse(text) : {};
  if (id === undefined) {
    response.writeHead(method ? 202 : 405).end();
    return;
  }
  if (method === 'tools/list') sent.push(request.headers['mcp-session-id']);
  const session = method === 'initialize' ? 'first' : 'other';
  const info = { protocolVersion: params?.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 's', version: '1' } };
  response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': session });
  response.end(JSON.stringify({ jsonrpc: '2.0', id, result: method === 'initialize' ? info : { tools: [] } }));
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const url = new URL(`http://127.0.0.1:${server.address().port}/mcp`);
for (const [name, library] of [['sdk 1.32.2', { ...v1, ...transport }], ['client 2.4.0', v2]]) {
  sent = [];
  const client = new library.Client({ name: 'c', version: '1' });
  await client.connect(new library.StreamableHTTPClientTransport(url));
  await client.listTools();
  await client.listTools();
  console.log(`${name}: sent ${sent[0]}, then ${sent[1]}`);
}
process.exit(0);
JS
seen=$(node ask.mjs)
printf '%s\n' "$seen"
[ "$seen" = "sdk 1.32.2: sent first, then other
client 2.4.0: sent first, then first" ]

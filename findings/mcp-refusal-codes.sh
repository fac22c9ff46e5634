#!/usr/bin/env bash
# The official client of MCP in JavaScript gives the reason of a refusal to its user only inside of a text, behind the words
# "Error POSTing to endpoint:", with the whole error of JSON-RPC around it; and version 2 gives every status that it has no
# code of its own for, 403, 429 and 503 among them, the code `CLIENT_HTTP_NOT_IMPLEMENTED`. A program that tells errors apart by
# `code`, as the error of JSON-RPC has one, sees neither that code nor the status. The same error with status 200 is thrown as a
# `ProtocolError` with code and message. So a gateway that answers with the status that fits is read by people, not programs.
#
# Seen with @modelcontextprotocol/client 2.4.0 on Node.js 20.20.2 (npm):
#     200: ProtocolError code=-32000 not allowed here
#     403: SdkHttpError code=CLIENT_HTTP_NOT_IMPLEMENTED Error POSTing to endpoint: {"jsonrpc":"2.0","id":2,"error":{"code":-32000,"message":"not allowed here"}}
#     429: SdkHttpError code=CLIENT_HTTP_NOT_IMPLEMENTED Error POSTing to endpoint: {"jsonrpc":"2.0","id":3,"error":{"code":-32000,"message":"not allowed here"}}
#     503: SdkHttpError code=CLIENT_HTTP_NOT_IMPLEMENTED Error POSTing to endpoint: {"jsonrpc":"2.0","id":4,"error":{"code":-32000,"message":"not allowed here"}}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-audit --no-fund @modelcontextprotocol/client@2.4.0
cat > ask.mjs <<'JS'
import { createServer } from 'node:http';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const server = createServer(async (request, response) => {
  let text = '';
  for await (const part of request) text += part;
  const { id, method, params } = text ? JSON.parse(text) : {};
  const say = (status, message) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id, ...message }));
  };
  if (method === 'initialize') {
    const serverInfo = { name: 's', version: '1' };
    say(200, { result: { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo } });
  } else if (id === undefined) {
    response.writeHead(method ? 202 : 405).end();
  } else {
    say(Number(params.name), { error: { code: -32000, message: 'not allowed here' } });
  }
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const client = new Client({ name: 'c', version: '1' });
await client.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${server.address().port}/mcp`)));
for (const status of ['200', '403', '429', '503']) {
  try {
    await client.callTool({ name: status, arguments: {} });
  } catch (error) {
    console.log(`${status}: ${error.constructor.name} code=${error.code} ${error.message}`);
  }
}
process.exit(0);
JS
seen=$(node ask.mjs)
printf '%s\n' "$seen"
grep -q '^200: ProtocolError code=-32000' <<<"$seen"
[ "$(grep -c '^\(403\|429\|503\): SdkHttpError code=CLIENT_HTTP_NOT_IMPLEMENTED Error POSTing to endpoint: {' <<<"$seen")" -eq 3 ]

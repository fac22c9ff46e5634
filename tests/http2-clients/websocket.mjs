// WebSocket over HTTP/2 with the client of Node.js, and the framing of `ws`.
//
//     node websocket.mjs ORIGIN PATH [serve PORT]
//
// With `serve` it is the server instead: that of `ws`, over HTTP/1.1.

import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { Receiver, Sender, WebSocketServer } from "ws";

const [origin, path, serve, port] = process.argv.slice(2);

if (serve) {
  const handleProtocols = (asked) => (asked.has("echo") ? "echo" : false);
  const server = new WebSocketServer({ host: "127.0.0.1", port: Number(port), handleProtocols });
  server.on("connection", (socket) => socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })));
  await once(server, "listening");
  await new Promise(() => {});
}

const session = http2.connect(origin, { rejectUnauthorized: false });
const [settings] = await once(session, "remoteSettings");
assert.equal(settings.enableConnectProtocol, true);

// Two on one connection, beside each other.
await Promise.all([1, 2].map(async (number) => {
  const stream = session.request({
    ":method": "CONNECT", ":protocol": "websocket", ":path": `${path}?n=${number}`, ":scheme": new URL(origin).protocol.slice(0, -1),
    ":authority": new URL(origin).host, "sec-websocket-version": "13", "sec-websocket-protocol": "echo", origin: "https://example.org",
  }, { endStream: false });
  const [head] = await once(stream, "response");
  assert.equal(head[":status"], 200);
  assert.equal(head["sec-websocket-protocol"], "echo");
  const receiver = new Receiver({ isServer: false });
  const sender = new Sender(stream, {});
  stream.pipe(receiver);
  for (const message of ["text", "ü".repeat(100_000), Buffer.alloc(2 << 20, number)]) {
    const binary = typeof message !== "string";
    sender.send(message, { fin: true, mask: true, binary, compress: false });
    const [data, isBinary] = await once(receiver, "message");
    assert.equal(isBinary, binary);
    assert.ok(Buffer.from(message).equals(data));
  }
  const ended = once(stream, "end");
  sender.close(1000, Buffer.from("done"), true);
  const [code] = await once(receiver, "conclude");
  assert.equal(code, 1000);
  stream.end();
  await ended;
}));
const refused = session.request({ ":method": "CONNECT", ":protocol": "connect-udp", ":path": path, ":scheme": "http", ":authority": "a" }, { endStream: false });
const [head] = await once(refused, "response");
assert.equal(head[":status"], 501);
refused.close();
session.close();

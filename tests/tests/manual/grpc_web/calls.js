// A server of gRPC (@grpc/grpc-js), and calls of it with the clients `grpc-web` and Connect through a gateway,
// whose address comes on standard input once the server's own was written.
'use strict';
const assert = require('node:assert');
const readline = require('node:readline');
const grpc = require('@grpc/grpc-js');
global.XMLHttpRequest = require('xhr2');
const web = require('grpc-web');

const bytes = text => new Uint8Array(Buffer.from(text));
const text = data => Buffer.from(data).toString();
const wire = { requestSerialize: Buffer.from, requestDeserialize: it => it, responseSerialize: Buffer.from, responseDeserialize: it => it };
const service = {
  say: { path: '/test.Echo/Say', requestStream: false, responseStream: false, ...wire },
  count: { path: '/test.Echo/Count', requestStream: false, responseStream: true, ...wire },
};

function serve() {
  const server = new grpc.Server();
  server.addService(service, {
    say(call, answer) {
      if (text(call.request) === 'unknown') {
        const metadata = new grpc.Metadata();
        metadata.set('x-reason', 'lost');
        return answer({ code: grpc.status.NOT_FOUND, details: 'no such note: 100 %', metadata });
      }
      const initial = new grpc.Metadata();
      initial.set('x-token', String(call.metadata.get('x-token')));
      call.sendMetadata(initial);
      answer(null, Buffer.from(call.request));
    },
    count(call) {
      const count = Number(text(call.request));
      for (let at = 0; at < count; at++) call.write(Buffer.from(`tick ${at}`));
      if (count === 3) return call.emit('error', { code: grpc.status.DATA_LOSS, details: 'the tape broke' });
      call.end();
    },
  });
  return new Promise((done, fail) => server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(),
    (error, port) => error ? fail(error) : done([server, port])));
}

async function withGrpcWeb(base, format) {
  const client = new web.GrpcWebClientBase({ format });
  const method = (name, kind) => new web.MethodDescriptor(`/test.Echo/${name}`, kind, Object, Object, bytes, text);
  const unary = (ask, metadata) => new Promise((done, fail) => {
    let initial = {};
    const call = client.rpcCall(`${base}/test.Echo/Say`, ask, metadata, method('Say', 'unary'),
      (error, answer) => error ? fail(error) : done([answer, initial]));
    call.on('metadata', it => { initial = it; });
  });
  const [answer, initial] = await unary('grüße', { 'x-token': 'secret' });
  assert.deepStrictEqual([answer, initial['x-token']], ['grüße', 'secret']);
  const large = 'x'.repeat(300_000);
  assert.strictEqual((await unary(large, {}))[0], large);
  const failed = await unary('unknown', {}).then(() => null, error => error);
  assert.deepStrictEqual([failed.code, failed.message, failed.metadata['x-reason']], [5, 'no such note: 100 %', 'lost']);
  if (format === 'binary') return;
  // This client streams in text alone.
  const stream = count => new Promise(done => {
    const came = [];
    let status;
    const call = client.serverStreaming(`${base}/test.Echo/Count`, String(count), {}, method('Count', 'server_streaming'));
    call.on('data', it => came.push(it));
    call.on('status', it => { status = it; });
    call.on('error', it => done([came, it.code, it.message]));
    call.on('end', () => done([came, status && status.code, '']));
  });
  const [came, code] = await stream(1000);
  assert.deepStrictEqual([came.length, came[999], code], [1000, 'tick 999', 0]);
  assert.deepStrictEqual(await stream(3), [['tick 0', 'tick 1', 'tick 2'], 15, 'the tape broke']);
}

async function withConnect(baseUrl, httpVersion) {
  const { createGrpcWebTransport } = require('@connectrpc/connect-node');
  const { createClient } = require('@connectrpc/connect');
  const { createFileRegistry, create } = require('@bufbuild/protobuf');
  const { FileDescriptorProtoSchema, file_google_protobuf_wrappers } = require('@bufbuild/protobuf/wkt');
  const method = (name, serverStreaming) => ({ name, inputType: '.google.protobuf.BytesValue', outputType: '.google.protobuf.BytesValue', serverStreaming });
  const file = create(FileDescriptorProtoSchema, {
    name: 'echo.proto', package: 'test', syntax: 'proto3', dependency: ['google/protobuf/wrappers.proto'],
    service: [{ name: 'Echo', method: [method('Say', false), method('Count', true)] }],
  });
  const registry = createFileRegistry(file, name => name === 'google/protobuf/wrappers.proto' ? file_google_protobuf_wrappers.proto : undefined);
  // A service that is described here, since nothing is generated.
  const client = createClient(registry.getService('test.Echo'), createGrpcWebTransport({ baseUrl, httpVersion }));
  // The server takes messages for bytes: they come back as they are.
  const said = await client.say({ value: bytes('hello') });
  assert.strictEqual(text(said.value), 'hello');
}

setTimeout(() => { console.error('a call is not answered'); process.exit(1); }, 60_000).unref();

(async () => {
  const [server, port] = await serve();
  console.log(port);
  const gateway = await new Promise(done => readline.createInterface({ input: process.stdin }).once('line', done));
  for (const format of ['text', 'binary']) await withGrpcWeb(`http://${gateway}`, format);
  for (const version of ['1.1', '2']) await withConnect(`http://${gateway}`, version);
  console.log('all calls are answered');
  server.forceShutdown();
  process.exit(0);
})().catch(error => { console.error(error); process.exit(1); });

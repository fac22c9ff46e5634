// Node.js's own server, and Fastify on it: `node.js NAME PORT`. The defaults are the server's.
const [name, port] = process.argv.slice(2);
const answer = (path, body) => (path.startsWith("/early") ? [401, "denied"] : [200, path === "/echo" ? "said " + body : "text of " + path]);
if (name === "http") {
    require("node:http").createServer((request, response) => {
        const send = (body) => {
            const [status, text] = answer(request.url, body);
            response.writeHead(status, { "content-length": text.length });
            response.end(text);
        };
        if (request.url.startsWith("/early")) return send("");
        let body = "";
        request.on("data", (data) => (body += data));
        request.on("end", () => send(body));
    }).listen(port, "127.0.0.1");
} else {
    const server = require("fastify")();
    server.addContentTypeParser("*", { parseAs: "string" }, (_, body, done) => done(null, body));
    server.all("/*", (request, reply) => {
        const [status, text] = answer(request.url, request.body ?? "");
        reply.code(status).send(text);
    });
    server.listen({ port: Number(port), host: "127.0.0.1" });
}

// Requests signed by other people's tools in Node.js, one JSON object a line, for tests/http_signature/tools.rs.

import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const NOW = Number(process.argv[2]);
const folder = process.argv[3];
const require = createRequire(join(folder, "package.json"));
const versionOf = (name) =>
  JSON.parse(readFileSync(join(folder, "node_modules", name, "package.json"), "utf8")).version;
const BODY = '{"hello": "world"}';
const SECRET = "a secret that is long enough for everybody";
const ADDRESS = "https://api.example:8443/orders/7%20a?all=1&name=b%20c";
const TARGET = ["@method", "@authority", "@path", "@query", "content-digest", "content-type"];
const DIGEST = `sha-256=:${createHash("sha256").update(BODY).digest("base64")}:`;

const say = async (tool, what, make) =>
  console.log(JSON.stringify({ tool: `${tool} ${versionOf(tool)}`, case: what, ...(await make()) }));

const request = (headers) => ({
  method: "POST",
  path: "/orders/7%20a",
  query: "all=1&name=b%20c",
  fields: Object.entries({ host: "api.example:8443", ...headers }),
  body: BODY,
});

const pair = (algorithm) => {
  const rsa = { modulusLength: 2048 };
  const [kind, options] = {
    "rsa-pss-sha512": ["rsa", rsa],
    "rsa-v1_5-sha256": ["rsa", rsa],
    "ecdsa-p256-sha256": ["ec", { namedCurve: "P-256" }],
    "ecdsa-p384-sha384": ["ec", { namedCurve: "P-384" }],
    ed25519: ["ed25519", {}],
  }[algorithm];
  return generateKeyPairSync(kind, options);
};

const key = (algorithm, publicKey) => ({
  id: "k",
  algorithm,
  ...(publicKey ? { pem: publicKey.export({ type: "spki", format: "pem" }) } : { secret: SECRET }),
});

const { createSigner, httpbis } = require("http-message-signatures");

const signed = (algorithm, fields = TARGET, values = {}) => async () => {
  const keys = algorithm === "hmac-sha256" ? {} : pair(algorithm);
  const { headers } = await httpbis.signMessage(
    {
      key: createSigner(keys.privateKey ?? SECRET, algorithm, "k"),
      fields,
      params: ["created", "keyid", "alg", ...Object.keys(values)],
      paramValues: { created: new Date(NOW * 1000), ...values },
    },
    { method: "POST", url: ADDRESS, headers: { "content-type": "application/json", "content-digest": DIGEST, host: "api.example:8443" } },
  );
  return { config: { message: { keys: [key(algorithm, keys.publicKey)] } }, request: request(headers) };
};

const { createSignature } = require("http-message-sig");

const described = async () => {
  const { publicKey, privateKey } = pair("ed25519");
  const headers = { "content-type": "application/json", "content-digest": DIGEST };
  const fields = await createSignature(
    {
      kind: "request",
      method: "POST",
      targetUri: ADDRESS,
      fields: Object.entries(headers).map(([name, value]) => ({ name, value })),
    },
    {
      label: "sig1",
      components: ["@method", "@target-uri", "content-digest"],
      parameters: { created: NOW, alg: "ed25519", keyid: "k" },
      signer: { algorithm: "ed25519", sign: (data) => sign(null, data, privateKey) },
    },
  );
  const both = { "signature-input": fields.signatureInput, signature: fields.signature };
  return { config: { message: { keys: [key("ed25519", publicKey)] } }, request: request({ ...headers, ...both }) };
};

const hmac = (settings, headers) => ({ config: { hmac: { ...settings, consumer: "k" } }, request: request(headers) });

const standard = () => {
  const { Webhook } = require("standardwebhooks");
  const secret = `whsec_${Buffer.from("a secret of 24 bytes....").toString("base64")}`;
  return hmac(
    {
      header: "webhook-signature",
      separator: " ",
      prefix: "v1,",
      encoding: "base64",
      timestamp_header: "webhook-timestamp",
      text: "{header:webhook-id}.{timestamp}.{body}",
      secrets: [secret],
      secret_encoding: "base64",
    },
    {
      "webhook-id": "msg_1",
      "webhook-timestamp": `${NOW}`,
      "webhook-signature": new Webhook(secret).sign("msg_1", new Date(NOW * 1000), BODY),
    },
  );
};

const ofStripe = () => {
  const stripe = require("stripe");
  const Stripe = stripe.default ?? stripe;
  const header = Stripe.webhooks.generateTestHeaderString({ payload: BODY, secret: SECRET, timestamp: NOW });
  return hmac(
    {
      header: "stripe-signature",
      separator: ",",
      prefix: "v1=",
      timestamp_prefix: "t=",
      text: "{timestamp}.{body}",
      secrets: [SECRET],
    },
    { "stripe-signature": header },
  );
};

const TOOL = "http-message-signatures";
for (const algorithm of [
  "hmac-sha256", "rsa-pss-sha512", "rsa-v1_5-sha256", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "ed25519",
]) {
  await say(TOOL, algorithm, signed(algorithm));
}
await say(
  TOOL,
  "`@request-target`, a nonce and an end",
  signed("hmac-sha256", ["@method", "@authority", "@request-target", "content-digest"], {
    nonce: "n",
    expires: new Date((NOW + 60) * 1000),
  }),
);
await say("http-message-sig", "`@target-uri`", described);
await say("standardwebhooks", "Standard Webhooks", standard);
await say("stripe", "Stripe", ofStripe);

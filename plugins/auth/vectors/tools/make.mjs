// Tokens and keys made by jose and jsonwebtoken, one JSON object a line, for tests/auth/tools.rs.

import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// Where the packages are installed.
const require = createRequire(pathToFileURL(`${process.argv[3]}/package.json`));
const jose = await import(pathToFileURL(require.resolve("jose")));
const jsonwebtoken = require("jsonwebtoken");

const claims = JSON.parse(process.argv[2]);
const secret = "a secret that is as long as the longest digest, 64 bytes or more..";
const algorithms = [
  "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
  "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519",
];

function version(tool) {
  const file = `${process.argv[3]}/node_modules/${tool}/package.json`;
  return JSON.parse(readFileSync(file, "utf8")).version;
}

async function say(tool, what, make) {
  const line = { tool: `${tool} ${version(tool)}`, case: what };
  try {
    Object.assign(line, await make());
  } catch (error) {
    line.unmade = error.constructor.name;
  }
  console.log(JSON.stringify(line));
}

async function byJose(algorithm) {
  const sign = (key) => new jose.SignJWT(claims).setProtectedHeader({ alg: algorithm }).sign(key);
  if (algorithm.startsWith("HS")) {
    return { secret, token: await sign(new TextEncoder().encode(secret)) };
  }
  const { publicKey, privateKey } = await jose.generateKeyPair(algorithm);
  return { jwk: await jose.exportJWK(publicKey), token: await sign(privateKey) };
}

function byJsonwebtoken(algorithm) {
  if (algorithm.startsWith("HS")) {
    return { secret, token: jsonwebtoken.sign(claims, secret, { algorithm }) };
  }
  const curves = { ES256: "P-256", ES384: "P-384", ES512: "P-521", ES256K: "secp256k1" };
  const pair = algorithm in curves
    ? generateKeyPairSync("ec", { namedCurve: curves[algorithm] })
    : /^[RP]S/.test(algorithm)
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : generateKeyPairSync("ed25519");
  const pem = pair.publicKey.export({ type: "spki", format: "pem" });
  return { pem, token: jsonwebtoken.sign(claims, pair.privateKey, { algorithm }) };
}

async function setOfJose() {
  const { publicKey, privateKey } = await jose.generateKeyPair("RS256");
  const key = { ...(await jose.exportJWK(publicKey)), use: "sig", alg: "RS256" };
  key.kid = await jose.calculateJwkThumbprint(key);
  const other = await jose.generateKeyPair("RSA-OAEP");
  const encrypting = { ...(await jose.exportJWK(other.publicKey)), use: "enc", alg: "RSA-OAEP" };
  const header = { alg: "RS256", kid: key.kid, typ: "at+jwt" };
  const token = await new jose.SignJWT(claims).setProtectedHeader(header).sign(privateKey);
  return { algorithm: "RS256", set: { keys: [encrypting, key] }, token };
}

async function criticalOfJose() {
  const payload = new TextEncoder().encode(JSON.stringify(claims));
  const key = new TextEncoder().encode(secret);
  const header = { alg: "HS256", crit: ["exp"], exp: 1 };
  const jws = new jose.CompactSign(payload).setProtectedHeader(header);
  return { algorithm: "HS256", secret, token: await jws.sign(key, { crit: { exp: true } }) };
}

async function encryptedByJose() {
  const key = new TextEncoder().encode(secret.slice(0, 32));
  const jwe = new jose.EncryptJWT(claims).setProtectedHeader({ alg: "dir", enc: "A256GCM" });
  return { algorithm: "HS256", secret, token: await jwe.encrypt(key) };
}

function pkcs1() {
  const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const pem = pair.publicKey.export({ type: "pkcs1", format: "pem" });
  const token = jsonwebtoken.sign(claims, pair.privateKey, { algorithm: "RS256" });
  return { algorithm: "RS256", pem, token };
}

function asText() {
  const token = jsonwebtoken.sign(JSON.stringify({ ...claims, aud: undefined }), secret);
  return { algorithm: "HS256", secret, token };
}

for (const algorithm of algorithms) {
  await say("jose", algorithm, () => byJose(algorithm));
  await say("jsonwebtoken", algorithm, () => byJsonwebtoken(algorithm));
}
await say("jose", "`at+jwt`, a JWK Set with a key for encryption beside", setOfJose);
await say("jsonwebtoken", "the key as `RSA PUBLIC KEY`", pkcs1);
await say("jose", "a critical extension (`crit`)", criticalOfJose);
await say("jose", "an encrypted token (JWE)", encryptedByJose);
await say("jsonwebtoken", "no `aud`", asText);

#!/usr/bin/env bash
# One key of a kind that a library does not know costs some of them the whole JWK Set. RFC 7517 section 5 asks to
# ignore keys whose `kty` is not understood, which is how an issuer can publish a post-quantum key (`AKP`, ML-DSA)
# beside the one that it signs with. Authlib, jwcrypto and node-jose then verify no token at all, those by the
# old key neither. python-jose tries keys in their order and stops at the first that it cannot read,
# whatever `kid` the token has. With a curve that nobody knows joserfc fails, which ignores an unknown `kty`. An
# issuer that adds a key breaks services that verify by themselves, and not those behind a gateway that
# passes over it.
#
# Seen with PyJWT 2.15.1, Authlib 1.9.10, joserfc 1.8.0, python-jose 3.5.0, jwcrypto 1.5.7 on Python 3.11.7 (PyPI),
# jose 6.2.18, jwks-rsa 3.2.0, node-jose 2.2.0 on Node.js 20.20.2 (npm); the token is signed by a P-256 key of the set:
#     the other key     PyJWT  Authlib  joserfc  python-jose  jwcrypto  jose  jwks-rsa  node-jose
#     none              yes    yes      yes      yes          yes       yes   yes       yes
#     kty AKP, last     yes    no       yes      yes          no        yes   yes       no
#     kty AKP, first    yes    no       yes      no           no        yes   yes       no
#     kty XYZ, last     yes    no       yes      yes          no        yes   yes       no
#     kty XYZ, first    yes    no       yes      no           no        yes   yes       no
#     crv Ed999, last   yes    yes      no       yes          yes       yes   yes       no
#     crv Ed999, first  yes    yes      no       no           yes       yes   yes       no
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check PyJWT==2.15.1 cryptography==50.0.2 Authlib==1.9.10 \
    joserfc==1.8.0 python-jose==3.5.0 jwcrypto==1.5.7
npm init --yes >/dev/null
npm install --silent --no-fund --no-audit jose@6.2.18 jwks-rsa@3.2.0 node-jose@2.2.0
cat > verify.py <<'PY'
import base64
import json
import warnings

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

warnings.simplefilter("ignore")
key = ec.generate_private_key(ec.SECP256R1())
known = json.loads(ECAlgorithm.to_jwk(key.public_key())) | {"kid": "now", "use": "sig", "alg": "ES256"}
token = jwt.encode({"sub": "ada"}, key, algorithm="ES256", headers={"kid": "now"})
post_quantum = base64.urlsafe_b64encode(bytes(1312)).rstrip(b"=").decode()
akp = {"kty": "AKP", "alg": "ML-DSA-44", "kid": "next", "use": "sig", "pub": post_quantum}
xyz = {"kty": "XYZ", "kid": "next", "use": "sig"}
curve = {"kty": "OKP", "crv": "Ed999", "kid": "next", "use": "sig", "x": "AAAA"}
sets = {"alone": [known]}
for name, other in {"kty AKP": akp, "kty XYZ": xyz, "crv Ed999": curve}.items():
    sets[f"{name}, last"] = [known, other]
    sets[f"{name}, first"] = [other, known]


def pyjwt(keys):
    return jwt.decode(token, jwt.PyJWKSet.from_dict(keys)["now"].key, algorithms=["ES256"])["sub"]


def authlib(keys):
    from authlib.jose import JsonWebKey, jwt as tokens

    return tokens.decode(token, JsonWebKey.import_key_set(keys))["sub"]


def joserfc(keys):
    from joserfc import jwk, jwt as tokens

    return tokens.decode(token, jwk.KeySet.import_key_set(keys)).claims["sub"]


def python_jose(keys):
    from jose import jwt as tokens

    return tokens.decode(token, keys, algorithms=["ES256"])["sub"]


def jwcrypto(keys):
    from jwcrypto import jwk, jwt as tokens

    verified = tokens.JWT(jwt=token, key=jwk.JWKSet.from_json(json.dumps(keys)))
    return json.loads(verified.claims)["sub"]


def verifies(library, keys):
    try:
        return "yes" if library(keys) == "ada" else "wrong"
    except Exception:
        return "no"


rows = []
for name, keys in sets.items():
    keys = {"keys": keys}
    found = [verifies(it, keys) for it in (pyjwt, authlib, joserfc, python_jose, jwcrypto)]
    rows.append({"name": name, "keys": keys, "token": token, "python": found})
print(json.dumps(rows))
PY
cat > verify.mjs <<'JS'
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createLocalJWKSet, jwtVerify } from "jose";
import jwksRsa from "jwks-rsa";
import nodeJose from "node-jose";

const libraries = {
  jose: async ({ keys, token }) => (await jwtVerify(token, createLocalJWKSet(keys))).payload.sub === "ada",
  jwksRsa: async ({ keys }) => {
    const server = createServer((_, answer) => answer.end(JSON.stringify(keys))).listen(0, "127.0.0.1");
    await new Promise((done) => server.on("listening", done));
    try {
      const client = jwksRsa({ jwksUri: `http://127.0.0.1:${server.address().port}/` });
      return Boolean((await client.getSigningKey("now")).getPublicKey());
    } finally {
      server.close();
    }
  },
  nodeJose: async ({ keys, token }) => {
    const store = await nodeJose.JWK.asKeyStore(keys);
    return JSON.parse((await nodeJose.JWS.createVerify(store).verify(token)).payload).sub === "ada";
  },
};
for (const row of JSON.parse(readFileSync("rows.json"))) {
  const found = [...row.python];
  for (const verify of Object.values(libraries)) {
    found.push(await verify(row).then((is) => (is ? "yes" : "wrong"), () => "no"));
  }
  console.log(`${row.name}: ${found.join(" ")}`);
}
JS
venv/bin/python verify.py > rows.json
seen=$(node verify.mjs)
printf '%s\n' "$seen"
[ "$seen" = "alone: yes yes yes yes yes yes yes yes
kty AKP, last: yes no yes yes no yes yes no
kty AKP, first: yes no yes no no yes yes no
kty XYZ, last: yes no yes yes no yes yes no
kty XYZ, first: yes no yes no no yes yes no
crv Ed999, last: yes yes no yes yes yes yes no
crv Ed999, first: yes yes no no yes yes yes no" ] || { echo "that is not what was seen before"; exit 1; }

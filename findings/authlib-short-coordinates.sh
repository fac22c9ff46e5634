#!/usr/bin/env bash
# Authlib writes the coordinates of EC keys without zeros at their beginning. RFC 7518 section 6.2.1.2 wants them at
# full length: 66 bytes on P-521, whose first byte is 0 or 1, so that four of five of its P-521 keys are no valid JWK
# (of P-256 and P-384 one in 128). Its successor joserfc writes them right. PyJWT refuses such a
# key, while Authlib itself, joserfc and jose on Node.js read it: a service that publishes its keys works in its
# own tests, and its tokens fail elsewhere, until the key happens to be made anew at full length.
#
# Seen with Authlib 1.9.10, joserfc 1.8.0, PyJWT 2.15.1 on Python 3.11.7 (PyPI) and jose 6.2.18 on Node.js 20.20.2
# (npm), of 400 keys each: Authlib 78 % short (79 of 100 in another run), joserfc none. Of a short key:
#     Authlib reads it
#     joserfc reads it
#     PyJWT refuses it
#     jose reads it
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check Authlib==1.9.10 joserfc==1.8.0 PyJWT==2.15.1 cryptography==50.0.2
npm init --yes >/dev/null
npm install --silent --no-fund --no-audit jose@6.2.18
cat > make.py <<'PY'
import base64
import json
import warnings

warnings.simplefilter("ignore")
from authlib.jose import JsonWebKey
from joserfc.jwk import ECKey
from jwt.algorithms import ECAlgorithm


def is_short(key):
    return {len(base64.urlsafe_b64decode(key[name] + "==")) for name in ("x", "y")} != {66}


authlib = [JsonWebKey.generate_key("EC", "P-521", is_private=True).as_dict(is_private=False) for _ in range(400)]
joserfc = [ECKey.generate_key("P-521").as_dict(private=False) for _ in range(400)]
short = [key for key in authlib if is_short(key)]
print(f"Authlib: {len(short) / 4:.0f} % short; joserfc: {sum(map(is_short, joserfc)) / 4:.0f} %")
assert 60 < len(short) / 4 < 95 and not any(map(is_short, joserfc))


def reads(read):
    try:
        read()
        return "reads it"
    except Exception:
        return "refuses it"


print("Authlib", reads(lambda: JsonWebKey.import_key(short[0])))
print("joserfc", reads(lambda: ECKey.import_key(short[0])))
print("PyJWT", reads(lambda: ECAlgorithm.from_jwk(short[0])))
with open("short.json", "w") as file:
    json.dump(short[0], file)
PY
cat > read.mjs <<'JS'
import { readFileSync } from "node:fs";
import { importJWK } from "jose";

const key = JSON.parse(readFileSync("short.json"));
console.log("jose", await importJWK(key, "ES512").then(() => "reads it", () => "refuses it"));
JS
venv/bin/python make.py | tee seen
node read.mjs | tee -a seen
[ "$(tail -n 4 seen)" = "Authlib reads it
joserfc reads it
PyJWT refuses it
jose reads it" ] || { echo "that is not what was seen before"; exit 1; }

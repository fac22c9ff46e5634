"""Tokens and keys made by PyJWT, Authlib and joserfc, one JSON object a line, for tests/auth/tools.rs."""

import base64
import json
import sys
import warnings
from importlib.metadata import version

# Authlib says on import that joserfc is its successor.
warnings.simplefilter("ignore")

import jwt
from authlib.jose import JsonWebKey as AuthlibKey
from authlib.jose import JsonWebToken as AuthlibToken
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

CLAIMS = json.loads(sys.argv[1])
SECRET = "a secret that is as long as the longest digest, 64 bytes or more.."
CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "ES256K": "secp256k1"}
ALGORITHMS = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519",
]


def say(tool, case, make):
    line = {"tool": f"{tool} {version(tool)}", "case": case}
    try:
        line |= make()
    except Exception as error:  # The tool does not make it.
        line["unmade"] = type(error).__name__
    print(json.dumps(line))


def private(algorithm):
    if algorithm[:2] in ("RS", "PS"):
        return rsa.generate_private_key(65537, 2048)
    if algorithm.startswith("ES"):
        curves = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
        return ec.generate_private_key(curves.get(CURVES[algorithm], ec.SECP256K1)())
    return ed25519.Ed25519PrivateKey.generate()


def pem(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def pyjwt(algorithm):
    if algorithm.startswith("HS"):
        return {"secret": SECRET, "token": jwt.encode(CLAIMS, SECRET, algorithm)}
    key = private(algorithm)
    return {"pem": pem(key), "token": jwt.encode(CLAIMS, key, algorithm)}


def pyjwt_set():
    key = private("RS256")
    made = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    token = jwt.encode(CLAIMS, key, "RS256", headers={"kid": "1", "typ": "at+jwt"})
    return {"algorithm": "RS256", "set": {"keys": [made | {"kid": "1"}]}, "token": token}


def authlib_ec(curve, is_whole):
    """A key with both coordinates at their full length (RFC 7518 section 6.2.1.2), or one without: Authlib leaves
    out bytes that are zero at the beginning."""
    length = {"P-256": 32, "P-384": 48, "P-521": 66, "secp256k1": 32}[curve]
    while True:
        key = AuthlibKey.generate_key("EC", curve, is_private=True)
        public = key.as_dict(is_private=False)
        lengths = {len(base64.urlsafe_b64decode(public[name] + "==")) for name in ("x", "y")}
        if (lengths == {length}) == is_whole:
            return key


def authlib_short():
    key = authlib_ec("P-521", is_whole=False)
    token = AuthlibToken(["ES512"]).encode({"alg": "ES512"}, CLAIMS, key)
    return {"algorithm": "ES512", "jwk": key.as_dict(is_private=False), "token": token.decode()}


def authlib(algorithm):
    if algorithm.startswith("HS"):
        key = AuthlibKey.import_key(SECRET, {"kty": "oct"})
        public = {"secret": SECRET}
    else:
        if algorithm[:2] in ("RS", "PS"):
            key = AuthlibKey.generate_key("RSA", 2048, is_private=True)
        elif algorithm.startswith("ES"):
            key = authlib_ec(CURVES[algorithm], is_whole=True)
        else:
            key = AuthlibKey.generate_key("OKP", "Ed25519", is_private=True)
        public = {"jwk": key.as_dict(is_private=False)}
    token = AuthlibToken([algorithm]).encode({"alg": algorithm}, CLAIMS, key)
    return public | {"token": token.decode()}


def joserfc_key(algorithm):
    if algorithm.startswith("HS"):
        return OctKey.import_key(SECRET), {"secret": SECRET}
    if algorithm[:2] in ("RS", "PS"):
        key = RSAKey.generate_key(2048)
    elif algorithm.startswith("ES"):
        key = ECKey.generate_key(CURVES[algorithm])
    else:
        key = OKPKey.generate_key("Ed25519")
    return key, {"jwk": key.as_dict(private=False)}


def joserfc(algorithm):
    key, public = joserfc_key(algorithm)
    token = joserfc_jwt.encode({"alg": algorithm, "typ": "JWT"}, CLAIMS, key, algorithms=[algorithm])
    return public | {"token": token}


def joserfc_set():
    keys = [ECKey.generate_key("P-256"), RSAKey.generate_key(2048)]
    token = joserfc_jwt.encode({"alg": "ES256"}, CLAIMS, keys[0], algorithms=["ES256"])
    served = KeySet(keys).as_dict(private=False)
    return {"algorithm": "ES256", "set": served, "token": token}


def joserfc_private():
    key = ECKey.generate_key("P-256")
    return {"algorithm": "ES256", "jwk": key.as_dict(private=True)}


def pyjwt_none():
    return {"algorithm": "HS256", "secret": SECRET, "token": jwt.encode(CLAIMS, None, "none")}


def pyjwt_short():
    return {"algorithm": "HS256", "secret": "short", "token": jwt.encode(CLAIMS, "short", "HS256")}


def pyjwt_detached():
    payload = json.dumps(CLAIMS).encode()
    token = jwt.api_jws.encode(payload, SECRET, "HS256", headers={"b64": False}, is_payload_detached=True)
    return {"algorithm": "HS256", "secret": SECRET, "token": token}


def authlib_private():
    key = AuthlibKey.generate_key("RSA", 2048, is_private=True)
    return {"algorithm": "RS256", "pem": key.as_pem(is_private=True).decode()}


for name in ALGORITHMS:
    say("PyJWT", name, lambda: pyjwt(name))
    say("Authlib", name, lambda: authlib(name))
    say("joserfc", name, lambda: joserfc(name))
say("PyJWT", "`at+jwt` with `kid`, keys as a JWK Set without `alg`", pyjwt_set)
say("joserfc", "no `kid`, keys of two types as a JWK Set", joserfc_set)
say("joserfc", "a private JWK as the key", joserfc_private)
say("Authlib", "a private key as PEM", authlib_private)
say("Authlib", "a P-521 key of which `x` or `y` begins with a zero, as in four of five", authlib_short)
say("PyJWT", "`alg: none`", pyjwt_none)
say("PyJWT", "a secret of 5 bytes", pyjwt_short)
say("PyJWT", "a detached payload (RFC 7797)", pyjwt_detached)

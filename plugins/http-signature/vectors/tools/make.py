"""Requests signed by other people's tools in Python, one JSON object a line, for tests/http_signature/tools.rs."""

import base64
import datetime
import json
import sys
from importlib.metadata import version

import requests
import stripe
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms
from slack_sdk.signature import SignatureVerifier
from standardwebhooks import Webhook

NOW = int(sys.argv[1])
TIME = datetime.datetime.fromtimestamp(NOW, tz=datetime.timezone.utc)
BODY = '{"hello": "world"}'
SECRET = "a secret that is long enough for everybody"
ADDRESS = "https://api.example:8443/orders/7%20a?all=1&name=b%20c"
TARGET = ["@method", "@authority", "@path", "@query", "content-digest", "content-type"]


def say(tool, case, make):
    line = {"tool": f"{tool} {version(tool)}", "case": case}
    print(json.dumps(line | make()))


def request(headers, body=BODY):
    fields = [[name, value] for name, value in headers.items()]
    return {
        "method": "POST",
        "path": "/orders/7%20a",
        "query": "all=1&name=b%20c",
        "fields": [["host", "api.example:8443"], *fields],
        "body": body,
    }


def pem(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


class Keys(HTTPSignatureKeyResolver):
    def __init__(self, key):
        self.key = key

    def resolve_private_key(self, key_id):
        return self.key


def message(algorithm, key, components=TARGET, **parameters):
    asked = requests.Request("POST", ADDRESS, data=BODY, headers={"content-type": "application/json"}).prepare()
    signer = HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=Keys(key))
    signer.sign(asked, key_id="k", covered_component_ids=components, created=TIME, body=BODY.encode(), **parameters)
    made = {"id": "k", "algorithm": algorithm.algorithm_id}
    made |= {"secret": SECRET} if isinstance(key, bytes) else {"pem": pem(key)}
    return {"config": {"message": {"keys": [made]}}, "request": request(asked.headers)}


def hmac(settings, headers):
    return {"config": {"hmac": settings | {"consumer": "k"}}, "request": request(headers)}


def standard():
    secret = "whsec_" + base64.b64encode(b"a secret of 24 bytes....").decode()
    signature = Webhook(secret).sign("msg_1", TIME, BODY)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(NOW), "webhook-signature": signature}
    return hmac(
        {
            "header": "webhook-signature",
            "separator": " ",
            "prefix": "v1,",
            "encoding": "base64",
            "timestamp_header": "webhook-timestamp",
            "text": "{header:webhook-id}.{timestamp}.{body}",
            "secrets": [secret],
            "secret_encoding": "base64",
        },
        headers,
    )


def of_stripe():
    signature = stripe.WebhookSignature._compute_signature(f"{NOW}.{BODY}", SECRET)
    return hmac(
        {
            "header": "stripe-signature",
            "separator": ",",
            "prefix": "v1=",
            "timestamp_prefix": "t=",
            "text": "{timestamp}.{body}",
            "secrets": [SECRET],
        },
        {"stripe-signature": f"t={NOW},v1={signature}"},
    )


def of_slack():
    signature = SignatureVerifier(SECRET).generate_signature(timestamp=str(NOW), body=BODY)
    return hmac(
        {
            "header": "x-slack-signature",
            "prefix": "v0=",
            "timestamp_header": "x-slack-request-timestamp",
            "text": "v0:{timestamp}:{body}",
            "secrets": [SECRET],
        },
        {"x-slack-signature": signature, "x-slack-request-timestamp": str(NOW)},
    )


TOOL = "http-message-signatures"
RSA = rsa.generate_private_key(65537, 2048)
say(TOOL, "hmac-sha256", lambda: message(algorithms.HMAC_SHA256, SECRET.encode()))
say(TOOL, "rsa-pss-sha512", lambda: message(algorithms.RSA_PSS_SHA512, RSA))
say(TOOL, "rsa-v1_5-sha256", lambda: message(algorithms.RSA_V1_5_SHA256, RSA))
say(TOOL, "ecdsa-p256-sha256", lambda: message(algorithms.ECDSA_P256_SHA256, ec.generate_private_key(ec.SECP256R1())))
say(TOOL, "ecdsa-p384-sha384", lambda: message(algorithms.ECDSA_P384_SHA384, ec.generate_private_key(ec.SECP384R1())))
say(TOOL, "ed25519", lambda: message(algorithms.ED25519, ed25519.Ed25519PrivateKey.generate()))
say(
    TOOL,
    "`@target-uri`, `@query-param`, a nonce, a tag and an end",
    lambda: message(
        algorithms.HMAC_SHA256,
        SECRET.encode(),
        ["@method", "@target-uri", '"@query-param";name="name"', "content-digest"],
        nonce="n",
        tag="app",
        expires=TIME + datetime.timedelta(minutes=1),
    ),
)
say("standardwebhooks", "Standard Webhooks", standard)
say("stripe", "Stripe", of_stripe)
say("slack_sdk", "Slack", of_slack)

"""Lets known tenants order.

A request says in `x-tenant` whose it is, an order is a JSON object with a quantity, and the
response tells who checked it.
"""

import json
import logging

import gateway_log
from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import hooks
from wit_world.imports import types

gateway_log.use()
logger = logging.getLogger("orders")

SCHEMA = {
    "type": "object",
    "properties": {
        "tenants": {"type": "array", "items": {"type": "string"}, "description": "Who may order."},
        "most": {
            "type": "integer",
            "minimum": 1,
            "default": 100,
            "description": "The largest quantity.",
        },
    },
    "required": ["tenants"],
    "additionalProperties": False,
}

# The configuration, which an instance is given once. It stands here since every call of a hook makes
# a new `Hooks`. Nothing of a request may stand here: its next hook may meet another instance.
config = {}


class Hooks(exports.Hooks):
    def describe(self):
        return hooks.Description("orders", "0.1.0", "componentize-py 0.25.1", json.dumps(SCHEMA))

    def configure(self, text):
        global config
        config = {"most": SCHEMA["properties"]["most"]["default"], **json.loads(text)}
        if wrong := problems(config):
            raise Err(wrong)
        return hooks.Interest(
            hooks=hooks.HookSet.REQUEST | hooks.HookSet.RESPONSE,
            request_parts=hooks.RequestParts(0),
            request_fields=["x-tenant"],
            response_fields=[],
            attributes=[],
            request_body=types.BodyMode_Buffered(65536),
            response_body=types.BodyMode_None_(),
            every_request=[],
            every_response=[],
            never_waits=True,
        )

    def on_request(self, request):
        [field] = request.fields
        if field is None:
            challenge = types.Field("www-authenticate", b"Tenant")
            answer = refusal(401, "Unauthorized", "x-tenant is missing", challenge)
            return hooks.RequestOutcome_Respond(answer)
        tenant = field.decode(errors="replace")
        if tenant not in config["tenants"]:
            logger.info("refused: %s is no tenant", tenant)
            answer = refusal(403, "Forbidden", "this tenant may not order")
            return hooks.RequestOutcome_Respond(answer)
        return hooks.RequestOutcome_Change(request_change(context=field))

    def on_request_body(self, body, context):
        try:
            order = json.loads(body, parse_constant=not_json)
        except (ValueError, RecursionError):
            answer = refusal(400, "Bad Request", "the body is not JSON")
            return hooks.RequestBodyOutcome_Respond(answer)
        quantity = order.get("quantity") if isinstance(order, dict) else None
        if type(quantity) is not int or not 1 <= quantity <= config["most"]:
            detail = f"quantity must be an integer from 1 to {config['most']}"
            answer = refusal(422, "Unprocessable Content", detail)
            return hooks.RequestBodyOutcome_Respond(answer)
        order["tenant"] = context.decode(errors="replace")
        order["checked"] = [*order.get("checked", []), "python"]
        changed = json.dumps(order).encode()
        return hooks.RequestBodyOutcome_Change(hooks.RequestBodyChange(changed, request_change()))

    def on_response(self, response, context):
        value = b"python for " + context
        fields = [
            types.FieldEdit_Remove("server"),
            types.FieldEdit_Append(types.Field("x-checked-by", value)),
        ]
        change = hooks.ResponseChange(None, fields, None, None)
        return hooks.ResponseOutcome_Change(change)

    # Not called, since the interest does not ask for them, but part of the interface.

    def on_request_chunk(self, chunk, context):
        return hooks.ChunkOutcome_Next()

    def on_response_body(self, body, context):
        return hooks.ResponseBodyOutcome_Next()

    def on_response_chunk(self, chunk, context):
        return hooks.ChunkOutcome_Next()

    def on_complete(self, summary, context):
        pass


def problems(config):
    wrong = []
    names = config.get("tenants")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        wrong.append(hooks.ConfigError("/tenants", "a list of names is needed"))
    if type(config["most"]) is not int or config["most"] < 1:
        wrong.append(hooks.ConfigError("/most", "an integer from 1 is needed"))
    for key in config.keys() - SCHEMA["properties"].keys():
        wrong.append(hooks.ConfigError(f"/{key}", f"unknown field `{key}`"))
    return wrong


def not_json(constant):
    """`NaN` and the infinities, which the json module would take."""
    raise ValueError(constant)


def request_change(context=None):
    """A change that changes nothing but the context."""
    return hooks.RequestChange(
        method=None,
        path=None,
        query=None,
        fields=[],
        attributes=[],
        response_fields=[],
        upstream=None,
        request_body=None,
        response_body=None,
        context=context,
        reuse_for=None,
    )


def refusal(status, title, detail, *fields):
    """A problem document (RFC 9457)."""
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    content_type = types.Field("content-type", b"application/problem+json")
    return types.Response(status, [content_type, *fields], json.dumps(problem).encode())

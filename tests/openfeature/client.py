"""What the OpenFeature SDK for Python has of flags through the gateway; prints a line of JSON for each."""

import json
import sys

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

api.set_provider(OFREPProvider(sys.argv[1]))
client = api.get_client()


def tell(name, details):
    code = details.error_code.value if details.error_code else None
    reason = getattr(details.reason, "value", details.reason)
    print(json.dumps([name, details.value, details.variant, reason, code, details.flag_metadata]))


def context(key="ada", **attributes):
    return EvaluationContext(key, attributes)


tell("boolean", client.get_boolean_details("new-checkout", False, context("user-3", plan="pro")))
tell("other", client.get_boolean_details("new-checkout", True, context(plan="free")))
tell("string", client.get_string_details("backend", "none", context(app_version="2.1.0")))
tell("number", client.get_integer_details("page-size", 0, context(email="ada@example.com")))
tell("object", client.get_object_details("welcome", {}, context()))
tell("disabled", client.get_boolean_details("summer-sale", True, context()))
tell("missing", client.get_boolean_details("nowhere", True, context()))
tell("mismatch", client.get_boolean_details("page-size", True, context()))

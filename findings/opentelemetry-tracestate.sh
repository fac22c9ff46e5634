#!/usr/bin/env bash
# The propagators of OpenTelemetry do not read one `tracestate` alike. Keys that the grammar of W3C Trace
# Context level 2 allows, and that its test suite wants passed on (an `@` at the end or twice, a digit
# in front), cost a service in Python the whole field, with the entries of everybody else, and one in
# JavaScript the entry. So does a key that is there twice, of which JavaScript keeps the last. Who debugs a
# trace whose vendor lost its state looks at the services, and not at the gateway that passed it on.
#
# Seen with opentelemetry-api 1.45.2 on Python 3.11.7 (PyPI) and @opentelemetry/core 3.1.1 on
# Node.js 20.20.2 (npm):
#     a=1,b=2        python: a=1,b=2    javascript: a=1,b=2
#     a@=1,b=2       python: nothing    javascript: b=2
#     a@@b=1,b=2     python: nothing    javascript: b=2
#     0a=1,b=2       python: nothing    javascript: b=2
#     a=1,a=2,b=2    python: nothing    javascript: a=2,b=2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-api==1.45.2
npm init --yes >/dev/null
npm install --silent --no-fund --no-audit @opentelemetry/core@3.1.1 @opentelemetry/api@1.10.0
cat > read.py <<'PY'
import logging
import sys

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

logging.disable(logging.CRITICAL)
fields = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": sys.argv[1],
}
context = TraceContextTextMapPropagator().extract(fields)
span = trace.get_current_span(context).get_span_context()
assert span.is_valid
print(span.trace_state.to_header() or "nothing")
PY
cat > read.js <<'JS'
const { ROOT_CONTEXT, defaultTextMapGetter, trace } = require("@opentelemetry/api");
const { W3CTraceContextPropagator } = require("@opentelemetry/core");

const fields = {
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  tracestate: process.argv[2],
};
const context = new W3CTraceContextPropagator().extract(ROOT_CONTEXT, fields, defaultTextMapGetter);
console.log(trace.getSpanContext(context).traceState?.serialize() || "nothing");
JS
seen=""
for state in a=1,b=2 a@=1,b=2 a@@b=1,b=2 0a=1,b=2 a=1,a=2,b=2; do
    line=$(printf '%-14s python: %-10s javascript: %s' "$state" \
        "$(venv/bin/python read.py "$state")" "$(node read.js "$state")")
    seen+="$line"$'\n'
done
printf '%s' "$seen"
[ "$seen" = "a=1,b=2        python: a=1,b=2    javascript: a=1,b=2
a@=1,b=2       python: nothing    javascript: b=2
a@@b=1,b=2     python: nothing    javascript: b=2
0a=1,b=2       python: nothing    javascript: b=2
a=1,a=2,b=2    python: nothing    javascript: a=2,b=2
" ]

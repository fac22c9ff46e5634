#!/bin/sh
# Makes target/orders.wasm of orders.py. The one argument is the folder of the gateway's WIT, which
# `gateway plugin wit` writes outside of a checkout.
set -eu
cd "$(dirname "$0")"
interfaces=${1:-../../../wit}
if [ ! -e .venv/complete ] || [ requirements.txt -nt .venv/complete ]; then
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt
    touch .venv/complete
fi
mkdir -p target
# Without --stub-wasi: it freezes the seed of every random number into the component.
.venv/bin/componentize-py --quiet --wit-path "$interfaces" --wit-path wit \
    --world example:orders/orders componentize orders --output target/orders.wasm
ls -sh target/orders.wasm

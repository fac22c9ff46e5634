#!/usr/bin/env bash
# componentize-py runs the top of the file when it builds, and keeps the state of the interpreter. A
# random number that is made there is the same in each instance, and so is the seed of `hash`, which
# is meant to differ so that nobody can prepare keys that collide. Numbers that a function makes do
# differ, since the generator is seeded anew.
#
# Seen with componentize-py 0.25.1 on Python 3.11.7, with two instances in wasmtime 50.0.1 (PyPI):
#     top of the file: the same
#     hash of a string: the same
#     in a function: different
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check componentize-py==0.25.1 wasmtime==50.0.1
cat > world.wit <<'WIT'
package example:finding;

world finding {
  export numbers: func() -> string;
}
WIT
cat > guest.py <<'PY'
import random

import wit_world

TOP = random.random()


class WitWorld(wit_world.WitWorld):
    def numbers(self) -> str:
        return f"{TOP} {hash('a')} {random.random()}"
PY
venv/bin/componentize-py --quiet --wit-path world.wit --world finding componentize guest \
    --output guest.wasm
cat > run.py <<'PY'
from wasmtime import Engine, Store, WasiConfig
from wasmtime.component import Component, Linker

engine = Engine()
component = Component.from_file(engine, "guest.wasm")
linker = Linker(engine)
linker.add_wasip2()
for _ in range(2):
    store = Store(engine)
    store.set_wasi(WasiConfig())
    instance = linker.instantiate(store, component)
    print(instance.get_func(store, "numbers")(store))
PY
said=$(venv/bin/python run.py)
read -r top_a hash_a within_a <<<"$(sed -n 1p <<<"$said")"
read -r top_b hash_b within_b <<<"$(sed -n 2p <<<"$said")"
[ -n "$within_a" ] && [ -n "$within_b" ]
compare() { if [ "$1" = "$2" ]; then echo "the same"; else echo "different"; fi; }
seen="top of the file: $(compare "$top_a" "$top_b")
hash of a string: $(compare "$hash_a" "$hash_b")
in a function: $(compare "$within_a" "$within_b")"
echo "$seen"
[ "$seen" = "top of the file: the same
hash of a string: the same
in a function: different" ]

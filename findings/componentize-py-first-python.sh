#!/usr/bin/env bash
# componentize-py takes packages from the environment of the first `python3` in PATH, not from the one
# that it is installed in and called from. So a component that builds in one shell lacks a package in
# another, or has another version of it.
#
# Seen with componentize-py 0.25.1 and idna 3.10 on Python 3.11.7. The tool is called by its path,
# first with its own environment first in PATH, in which there is no idna, then with another:
#     first in PATH is the environment of the tool: ModuleNotFoundError: No module named 'idna'
#     first in PATH is another with idna: built
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv tool
python3 -m venv other
tool/bin/pip install --quiet --disable-pip-version-check componentize-py==0.25.1
other/bin/pip install --quiet --disable-pip-version-check idna==3.10
cat > world.wit <<'WIT'
package example:finding;

world finding {
  export text: func() -> string;
}
WIT
cat > guest.py <<'PY'
import idna
import wit_world


class WitWorld(wit_world.WitWorld):
    def text(self) -> str:
        return idna.__version__
PY
build() {
    if said=$(PATH="$folder/$1/bin:$PATH" "$folder/tool/bin/componentize-py" --quiet \
        --wit-path world.wit --world finding componentize guest --output guest.wasm 2>&1); then
        echo built
    else
        grep -m 1 -o "ModuleNotFoundError: .*" <<<"$said" || echo "failed otherwise"
    fi
}
seen="first in PATH is the environment of the tool: $(build tool)
first in PATH is another with idna: $(build other)"
echo "$seen"
[ "$seen" = "first in PATH is the environment of the tool: ModuleNotFoundError: No module named 'idna'
first in PATH is another with idna: built" ]

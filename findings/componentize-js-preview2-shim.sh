#!/usr/bin/env bash
# The packages behind componentize-js name different versions of preview2-shim. npm picks 0.25.0, with
# which it works. Who adds the newest 0.26 next to it gets warnings, and then no component, but a
# message about a file that is there.
#
# Seen with @bytecodealliance/componentize-js 0.23.0 on Node.js 20.20.2:
#     preview2-shim 0.25.0: built
#     preview2-shim 0.26.1: failed
#         ComponentError: reading file /tmp/tmp.Q8sdin3REv/world.wit
#             No such file or directory (os error 44)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > world.wit <<'WIT'
package example:finding;

world finding {
  export text: func() -> string;
}
WIT
echo "export const text = () => 'a';" > guest.js
cat > build.js <<'JS'
import { componentize } from '@bytecodealliance/componentize-js';
await componentize({ sourcePath: 'guest.js', witPath: 'world.wit' });
JS
seen=""
for version in 0.25.0 0.26.1; do
    rm -rf node_modules package-lock.json
    cat > package.json <<JSON
{
  "type": "module",
  "dependencies": {
    "@bytecodealliance/componentize-js": "0.23.0",
    "@bytecodealliance/preview2-shim": "$version"
  }
}
JSON
    npm install --silent --no-audit --no-fund
    if said=$(node build.js 2>&1); then result=built; else result=failed; fi
    [ "$result" = built ] || grep -m 3 -E 'Error|error' <<<"$said" || true
    seen+="preview2-shim $version: $result"$'\n'
done
printf '%s' "$seen"
[ "$seen" = "preview2-shim 0.25.0: built
preview2-shim 0.26.1: failed
" ]

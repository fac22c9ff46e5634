#!/usr/bin/env bash
# componentize-js runs the top of the file when it builds. A random number there ends the build, with
# a trace of numbered functions and no word of the file, the line or the cause. The time can be asked.
#
# Seen with @bytecodealliance/componentize-js 0.23.0 on Node.js 20.20.2:
#     Date.now(): built
#     Math.random(): Error: the `componentize.wizer` function trapped
#     crypto.randomUUID(): Error: the `componentize.wizer` function trapped
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > package.json <<'JSON'
{
  "type": "module",
  "dependencies": {
    "@bytecodealliance/componentize-js": "0.23.0",
    "@bytecodealliance/preview2-shim": "0.25.0"
  }
}
JSON
npm install --silent --no-audit --no-fund
cat > world.wit <<'WIT'
package example:finding;

world finding {
  export text: func() -> string;
}
WIT
cat > build.js <<'JS'
import { componentize } from '@bytecodealliance/componentize-js';
await componentize({ sourcePath: 'guest.js', witPath: 'world.wit' });
JS
seen=""
for call in "Date.now()" "Math.random()" "crypto.randomUUID()"; do
    echo "const top = $call; export const text = () => String(top);" > guest.js
    if said=$(node build.js 2>&1); then
        result=built
    else
        result=$(grep -m 1 'trapped' <<<"$said" || echo "failed otherwise")
        if grep -q 'guest.js:1' <<<"$said"; then result="$result, and the line is named"; fi
    fi
    seen+="$call: $result"$'\n'
done
printf '%s' "$seen"
expected="Date.now(): built
Math.random(): Error: the \`componentize.wizer\` function trapped
crypto.randomUUID(): Error: the \`componentize.wizer\` function trapped
"
[ "$seen" = "$expected" ]

#!/usr/bin/env bash
# componentize-js does not check the values that exported functions return. A string for `list<u8>`
# arrives as an empty list. A number out of the range of its type wraps, a fraction is cut off, and a
# string of digits is taken as a number. Nothing is thrown, and nothing is logged.
#
# Seen with @bytecodealliance/componentize-js 0.23.0, run by @bytecodealliance/jco 1.35.0 on
# Node.js 20.20.2:
#     bytes of a string: []
#     bytes of an array: [72,105]
#     65736 as u16: 200
#     -1 as u16: 65535
#     200.9 as u16: 200
#     '201' as u16: 201
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > package.json <<'JSON'
{
  "type": "module",
  "dependencies": {
    "@bytecodealliance/componentize-js": "0.23.0",
    "@bytecodealliance/jco": "1.35.0",
    "@bytecodealliance/preview2-shim": "0.25.0"
  }
}
JSON
npm install --silent --no-audit --no-fund
cat > world.wit <<'WIT'
package example:finding;

world finding {
  export text: func() -> list<u8>;
  export numbers: func() -> list<u8>;
  export number: func(which: u8) -> u16;
}
WIT
cat > guest.js <<'JS'
export const text = () => 'Hi';
export const numbers = () => [72, 105];
export const number = (which) => [65736, -1, 200.9, '201'][which];
JS
cat > build.js <<'JS'
import { writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';
const { component } = await componentize({ sourcePath: 'guest.js', witPath: 'world.wit' });
await writeFile('guest.wasm', component);
JS
node build.js
npx jco transpile guest.wasm --quiet --out-dir guest
cat > run.js <<'JS'
import { number, numbers, text } from './guest/guest.js';
console.log(`bytes of a string: ${JSON.stringify([...text()])}`);
console.log(`bytes of an array: ${JSON.stringify([...numbers()])}`);
console.log(`65736 as u16: ${number(0)}`);
console.log(`-1 as u16: ${number(1)}`);
console.log(`200.9 as u16: ${number(2)}`);
console.log(`'201' as u16: ${number(3)}`);
JS
seen=$(node run.js)
echo "$seen"
expected="bytes of a string: []
bytes of an array: [72,105]
65736 as u16: 200
-1 as u16: 65535
200.9 as u16: 200
'201' as u16: 201"
[ "$seen" = "$expected" ]

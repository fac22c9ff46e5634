// Makes target/orders.wasm of orders.js. The one argument is the folder of the gateway's WIT, which
// `gateway plugin wit` writes outside of a checkout.
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const interfaces = process.argv[2] ?? '../../../wit';

// The tool takes one folder: the world of this plugin, and what it refers to in `deps`.
await rm('target/wit', { recursive: true, force: true });
await cp('wit', 'target/wit', { recursive: true });
await cp(interfaces, 'target/wit/deps/gateway-plugin', { recursive: true });

const { component } = await componentize({
  sourcePath: 'orders.js',
  witPath: 'target/wit',
  worldName: 'orders',
  // The rest stays: without `random` numbers are the same in every instance, without `stdio` an
  // exception says nothing, without `clocks` time stands still, and without `http`, which plugins do
  // not have, a call of `fetch` does not say so.
  disableFeatures: ['fetch-event'],
});
await mkdir('target', { recursive: true });
await writeFile('target/orders.wasm', component);
console.log(`target/orders.wasm: ${(component.length / 1024 / 1024).toFixed(1)} MiB`);

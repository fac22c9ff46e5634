// Gives `console` the levels of the gateway's log: by itself `warn` and `debug` arrive as errors.
// Imported for its effect, before anything else: `import './console.js';`
import { write } from 'gateway:plugin/log@0.1.0';

function text(value) {
  if (typeof value === 'string') return value;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  return JSON.stringify(value) ?? String(value);
}

for (const level of ['debug', 'info', 'warn', 'error']) {
  console[level] = (...values) => write(level, values.map(text).join(' '));
}
console.log = console.info;

// A plugin does not wait: a timer that no hook awaits would never fire, and nobody would know.
globalThis.setTimeout = globalThis.setInterval = () => {
  throw new Error('a plugin has no timers');
};

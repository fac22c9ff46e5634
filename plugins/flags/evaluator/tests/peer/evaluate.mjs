// Evaluates flags by @openfeature/flagd-core. Input, a line: {"now", "document", "evaluations": [[key, kind, context]]}.
// Output, a line: null if the document is refused, or a list of what each evaluation has.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(process.env.FLAGD_PEER + '/');
const { FlagdCore } = require('@openfeature/flagd-core');
const silent = { error() {}, warn() {}, info() {}, debug() {} };
const none = Symbol('none');

for await (const line of createInterface({ input: process.stdin })) {
  const { now, document, evaluations } = JSON.parse(line);
  Date.now = () => now * 1000;
  const core = new FlagdCore(undefined, silent);
  let answer = null;
  try {
    core.setConfigurations(document);
    answer = evaluations.map(([key, kind, context]) => {
      const found = core.resolve(kind, key, none, context, silent);
      return {
        has: found.value !== none,
        value: found.value === none ? null : found.value,
        variant: found.variant ?? null,
        reason: found.reason,
        error: found.errorCode ?? null,
        metadata: found.flagMetadata,
      };
    });
  } catch (error) {
    if (!String(error?.message).includes('invalid flagd')) throw error;
  }
  process.stdout.write(JSON.stringify(answer) + '\n');
}

// What the OpenFeature SDK for servers in JavaScript has of flags through the gateway; prints a line of JSON for each.
import { createRequire } from 'node:module';

const [, , folder, url] = process.argv;
const require = createRequire(folder + '/');
const { OpenFeature } = require('@openfeature/server-sdk');
const { OFREPProvider } = require('@openfeature/ofrep-provider');

await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: url }));
const client = OpenFeature.getClient();
client.setLogger({ error() {}, warn() {}, info() {}, debug() {} });

const tell = (name, { value, variant, reason, errorCode, flagMetadata }) =>
  console.log(JSON.stringify([name, value, variant ?? null, reason, errorCode ?? null, flagMetadata]));
const context = (attributes = {}, targetingKey = 'ada') => ({ targetingKey, ...attributes });

tell('boolean', await client.getBooleanDetails('new-checkout', false, context({ plan: 'pro' }, 'user-3')));
tell('other', await client.getBooleanDetails('new-checkout', true, context({ plan: 'free' })));
tell('string', await client.getStringDetails('backend', 'none', context({ app_version: '2.1.0' })));
tell('number', await client.getNumberDetails('page-size', 0, context({ email: 'ada@example.com' })));
tell('object', await client.getObjectDetails('welcome', {}, context()));
tell('disabled', await client.getBooleanDetails('summer-sale', true, context()));
tell('missing', await client.getBooleanDetails('nowhere', true, context()));
tell('mismatch', await client.getBooleanDetails('page-size', true, context()));

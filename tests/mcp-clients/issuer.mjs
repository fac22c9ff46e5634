// An authorization server with dynamic registration, whose user is logged in and agrees to all that is asked.
// Arguments: the folder of the packages, a port, the server of MCP that its tokens are for.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, port, resource] = process.argv.slice(2);
const require = createRequire(resolve(folder, 'package.json'));
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'one', alg: 'RS256', use: 'sig' }] },
  cookies: { keys: ['of the test alone'] },
  scopes: ['tools', 'admin'],
  clientDefaults: { grant_types: ['authorization_code'] },
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, indicator) => {
        if (indicator !== resource) throw new Error(`no such resource: ${indicator}`);
        return { scope: 'tools admin', audience: indicator, accessTokenFormat: 'jwt', accessTokenTTL: 300 };
      },
      useGrantedResource: () => true,
    },
  },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});
// The client registers for the scopes that it knows of then, and is refused the others for good if that is held to.
provider.on('registration_create.success', (_, client) => {
  const { scope, ...metadata } = client.metadata();
  provider.Client.adapter.upsert(client.clientId, metadata);
});
provider.on('server_error', (...all) => console.error(...all.filter((it) => it instanceof Error)));

const oidc = provider.callback();
const server = createServer(async (request, response) => {
  if (!request.url.startsWith('/interaction/')) {
    oidc(request, response);
    return;
  }
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  let result = { login: { accountId: 'ada' } };
  if (prompt.name !== 'login') {
    const grant = grantId
      ? await provider.Grant.find(grantId)
      : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    grant.addResourceScope(resource, params.scope);
    result = { consent: { grantId: await grant.save() } };
  }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
});
server.listen(Number(port), '127.0.0.1');

// A certified provider for the test of the plugin `oidc`: one client, one user who is logged in without being asked.
//
// Arguments: the folder in which `oidc-provider` is installed. Prints its port; a line on standard input is the
// address of the gateway, where logout tokens go. Ends with its standard input.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const folder = process.argv[2];
const require = createRequire(join(folder, 'package.json'));
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const server = createServer();
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `http://127.0.0.1:${server.address().port}`;

let gateway;
createInterface({ input: process.stdin })
  .on('line', (line) => { gateway = line; })
  .on('close', () => process.exit(0));

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'shop',
    client_secret: 'a secret: with/odd+signs',
    redirect_uris: ['https://shop.example/oidc/callback'],
    post_logout_redirect_uris: ['https://shop.example/bye'],
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token'],
    backchannel_logout_uri: 'https://shop.example/oidc/back',
    backchannel_logout_session_required: true,
  }],
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'one', alg: 'RS256', use: 'sig' }] },
  cookies: { keys: ['of the test alone'] },
  features: {
    devInteractions: { enabled: false },
    rpInitiatedLogout: { enabled: true },
    backchannelLogout: { enabled: true },
  },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, nickname: 'lovelace' }),
  }),
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['nickname'] },
  rotateRefreshToken: true,
  issueRefreshToken: () => true,
  // Short enough for the plugin to renew them at the next request.
  ttl: { AccessToken: 30, IdToken: 300, RefreshToken: 3600, Session: 3600, Grant: 3600, Interaction: 600 },
  fetch: (url, options) =>
    fetch(String(url).replace('https://shop.example', `http://${gateway}`), { ...options, dispatcher: undefined }),
});

for (const event of ['server_error', 'backchannel.error']) {
  provider.on(event, (...all) => console.error(event, ...all.filter((it) => it instanceof Error)));
}

const oidc = provider.callback();
server.on('request', async (request, response) => {
  if (!request.url.startsWith('/interaction/')) {
    oidc(request, response);
    return;
  }
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    const denied = { error: 'access_denied', error_description: '<script>evil</script>' };
    const result = params.login_hint === 'denied' ? denied : { login: { accountId: 'ada' } };
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
    return;
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { grantId: await grant.save() };
  await provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
});

console.log(server.address().port);

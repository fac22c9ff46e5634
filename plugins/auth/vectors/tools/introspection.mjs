// An authorization server, oidc-provider, for tests/tests/manual/first_party/introspection.rs. Its arguments are the port on
// which it listens, the folder where it is installed, and the public key of a client as a JWK. It says "ready" when it
// serves, and ends with its input.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [port, folder, jwk] = process.argv.slice(2);
const entry = createRequire(join(folder, "package.json")).resolve("oidc-provider");
const { Provider } = await import(pathToFileURL(entry));
const { version } = JSON.parse(readFileSync(join(folder, "node_modules/oidc-provider/package.json"), "utf8"));

const client = (client_id, more) => ({
  client_id,
  client_secret: `secret of ${client_id}: 100% +/`,
  redirect_uris: [],
  response_types: [],
  grant_types: ["client_credentials"],
  ...more,
});

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    client("app"),
    client("gateway"),
    client("gateway-post", { token_endpoint_auth_method: "client_secret_post" }),
    client("gateway-key", {
      client_secret: undefined,
      token_endpoint_auth_method: "private_key_jwt",
      token_endpoint_auth_signing_alg: "ES256",
      jwks: { keys: [JSON.parse(jwk)] },
    }),
  ],
  scopes: ["orders:read"],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
  },
});
provider.on("server_error", (_, error) => console.error(error));
provider.listen(Number(port), "127.0.0.1", () => console.log(`ready ${version}`));
process.stdin.on("end", () => process.exit(0)).resume();

// Runs oidc-provider, a real authorization server, until standard input ends. Prints its address as the first line.
import http from 'node:http';
import https from 'node:https';
import { generateKeyPairSync } from 'node:crypto';
import { load } from './packages.mjs';

const { Provider, errors } = await load('oidc-provider');
const { tls, clients, resource } = JSON.parse(process.argv[2]);
const key = (alg, kind, options) =>
  ({ ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: alg });
const keys = [key('RS256', 'rsa', { modulusLength: 2048 }), key('ES256', 'ec', { namedCurve: 'P-256' })];
const scopes = ['orders:read', 'orders:write'];

let handle;
const server = tls ? https.createServer(tls, (req, res) => handle(req, res)) : http.createServer((req, res) => handle(req, res));
server.listen(0, '127.0.0.1', () => {
  const issuer = `${tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    jwks: { keys },
    scopes,
    clients: clients.map((client) => ({ redirect_uris: [], response_types: [], grant_types: ['client_credentials'], ...client })),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        getResourceServerInfo: (ctx, asked) => {
          if (asked !== resource) throw new errors.InvalidTarget();
          return { scope: scopes.join(' '), audience: resource, accessTokenTTL: 300, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
        },
      },
    },
  });
  handle = provider.callback();
  console.log(issuer);
});
process.stdin.resume().on('end', () => process.exit(0));

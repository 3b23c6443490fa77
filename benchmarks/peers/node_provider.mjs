// node-oidc-provider with its in-memory adapter, in one process: node node_provider.mjs PORT MODULES SECRET
//
// Everything is its default except what makes the answers comparable: ES256, and a rotation at every refresh.
// GET /benchmark/tokens?number=N is not of the library: refresh tokens, for there is nobody who could sign in.
import { generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const [port, modules, secret] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(`${modules}/oidc-provider/lib/index.js`));

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const CLIENT_ID = 'benchmark';
const SCOPE = 'openid offline_access';

const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'benchmark' }] },
  clients: [{
    client_id: CLIENT_ID,
    client_secret: secret,
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    redirect_uris: ['https://benchmark.example.com/callback'],
    id_token_signed_response_alg: 'ES256',
  }],
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
  rotateRefreshToken: true,
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
});

provider.use(async (ctx, next) => {
  if (ctx.path === '/readyz') {
    ctx.body = '';
  } else if (ctx.path === '/benchmark/tokens') {
    const made = Array.from({ length: Number(ctx.query.number) }, (_, index) => refreshToken(`customer-${index}`));
    ctx.body = await Promise.all(made);
  } else {
    await next();
  }
});

async function refreshToken(accountId) {
  const client = await provider.Client.find(CLIENT_ID);
  const grant = new provider.Grant({ accountId, clientId: CLIENT_ID });
  grant.addOIDCScope(SCOPE);
  const token = new provider.RefreshToken({
    accountId,
    client,
    grantId: await grant.save(),
    gty: 'authorization_code',
    scope: SCOPE,
    authTime: Math.floor(Date.now() / 1000),
  });
  return token.save();
}

provider.listen(Number(port), '127.0.0.1');

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider from 'oidc-provider';

/** An OpenID provider that signs everybody in as whom they say they are. */
export type OidcProvider = Awaited<ReturnType<typeof startOidcProvider>>;

const client = { id: 'fairlead', secret: 'the secret of this client alone' };

/**
 * Starts a certified provider on loopback, with one client that has to use PKCE. Names are logins; the groups of each can
 * be changed while it runs.
 */
export async function startOidcProvider(callbackUrl: string, groups: Map<string, string[]> = new Map()) {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: client.id,
        client_secret: client.secret,
        redirect_uris: [callbackUrl],
        post_logout_redirect_uris: [callbackUrl.replace('/oidc/callback', '')],
      },
    ],
    scopes: ['openid', 'profile', 'groups'],
    claims: { openid: ['sub'], profile: ['preferred_username'], groups: ['groups'] },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: `subject of ${id}`, preferred_username: id, groups: groups.get(id) ?? [] }),
    }),
    pkce: { required: () => true },
    features: { devInteractions: { enabled: true } },
    cookies: { keys: ['a key of the tests'] },
    ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, IdToken: 600 },
  });
  server.on('request', provider.callback());
  return {
    issuer,
    groups,
    env: {
      OIDC_ISSUER: issuer,
      OIDC_CLIENT_ID: client.id,
      OIDC_CLIENT_SECRET: client.secret,
      OIDC_SCOPES: 'openid profile groups',
    },
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Goes through the provider's pages as somebody without scripts; gives the address that they lead back to. */
export async function passProvider(start: string, login: string, stop: string): Promise<string> {
  const cookies = new Map<string, string>();

  async function go(url: string, fields?: Record<string, string>): Promise<{ location: string | null; text: string }> {
    const answer = await fetch(url, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(fields && { method: 'POST', body: new URLSearchParams(fields) }),
    });
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      cookies.set(name, value);
    }
    const location = answer.headers.get('location');
    return { location: location && new URL(location, url).href, text: await answer.text() };
  }

  let url = start;
  for (let step = 0; step < 12; step += 1) {
    const page = await go(url);
    if (page.location?.startsWith(stop)) return page.location;
    if (page.location) {
      url = page.location;
      continue;
    }
    const prompt = /name="prompt" value="(\w+)"/.exec(page.text)?.[1] ?? '';
    const answer = await go(url, prompt === 'login' ? { prompt, login, password: 'anything' } : { prompt });
    if (!answer.location) throw new Error(`the provider stays at ${url}: ${answer.text.slice(0, 500)}`);
    if (answer.location.startsWith(stop)) return answer.location;
    url = answer.location;
  }
  throw new Error('the provider leads nowhere');
}

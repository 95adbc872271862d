import * as oidc from 'openid-client';
import { Problem } from '../errors.ts';
import type { Caller } from './arrivals.ts';
import { type GroupRoles, roleOfGroups } from './group-roles.ts';

/** How an OpenID provider is asked, and which claims say what somebody is called and which groups they are in. */
export type OidcOptions = {
  issuer: string;
  clientId: string;
  clientSecret: string;
  scopes: string;
  usernameClaim: string;
  groupsClaim: string;
  /** The address of this program that the provider sends people back to. */
  callbackUrl: string;
  groups: GroupRoles;
};

/** What is kept of a sign-in that has begun: good once, and only in the browser that began it. */
export type BegunSignIn = { state: string; nonce: string; verifier: string };

const timeoutSeconds = 5;
const maxAnswerBytes = 1_000_000;
const maxGroups = 1_000;

/** Signing in at an OpenID provider. */
export type SingleSignOn = ReturnType<typeof createSingleSignOn>;

/**
 * Creates the signing in at an OpenID provider (OpenID Connect Core 1.0, code flow with PKCE, RFC 7636). The provider is
 * looked up when somebody first wants to sign in, and again until it answers.
 */
export function createSingleSignOn(options: OidcOptions) {
  let known: Promise<oidc.Configuration> | undefined;

  /** @throws Problem `unauthenticated` where it does not answer */
  function provider(): Promise<oidc.Configuration> {
    known ??= discover(options).catch((error: unknown) => {
      known = undefined;
      throw unavailable(error);
    });
    return known;
  }

  /** Names and groups may be told in the ID token, or only where the provider is asked for them. */
  async function claimsOf(config: oidc.Configuration, tokens: Tokens): Promise<Record<string, unknown>> {
    const claims = tokens.claims();
    if (!claims) throw refused();
    const isWhole = options.usernameClaim in claims && options.groupsClaim in claims;
    if (isWhole || !config.serverMetadata().userinfo_endpoint) return claims;
    return { ...(await oidc.fetchUserInfo(config, tokens.access_token, claims.sub)), ...claims };
  }

  return {
    /**
     * Begins a sign-in: where the browser is sent, and what has to be kept meanwhile.
     * @throws Problem `unauthenticated` where the provider does not answer
     */
    async begin(): Promise<{ url: string; begun: BegunSignIn }> {
      const config = await provider();
      const begun = { state: oidc.randomState(), nonce: oidc.randomNonce(), verifier: oidc.randomPKCECodeVerifier() };
      const url = oidc.buildAuthorizationUrl(config, {
        redirect_uri: options.callbackUrl,
        scope: options.scopes,
        code_challenge: await oidc.calculatePKCECodeChallenge(begun.verifier),
        code_challenge_method: 'S256',
        state: begun.state,
        nonce: begun.nonce,
      });
      return { url: url.href, begun };
    },

    /**
     * Ends a sign-in by what the browser brought back, the query of the callback.
     * @throws Problem `unauthenticated` where the provider refused or what came is not the answer, `forbidden` for whose
     * name it does not tell
     */
    async finish(query: string, { state, nonce, verifier }: BegunSignIn): Promise<Caller> {
      const config = await provider();
      const current = new URL(`${options.callbackUrl}?${query}`);
      const claims = await asked(async () =>
        claimsOf(
          config,
          await oidc.authorizationCodeGrant(config, current, {
            pkceCodeVerifier: verifier,
            expectedState: state,
            expectedNonce: nonce,
            idTokenExpected: true,
          }),
        ),
      );
      return toIdentity(claims, config.serverMetadata().issuer, options);
    },

    /** Where somebody signs out at the provider too, if it has such an address. */
    async endUrl(backTo: string): Promise<string | undefined> {
      const config = await provider();
      if (!config.serverMetadata().end_session_endpoint) return undefined;
      return oidc.buildEndSessionUrl(config, { post_logout_redirect_uri: backTo }).href;
    },
  };
}

type Tokens = Awaited<ReturnType<typeof oidc.authorizationCodeGrant>>;

async function discover({ issuer, clientId, clientSecret }: OidcOptions): Promise<oidc.Configuration> {
  const isPlain = new URL(issuer).protocol === 'http:';
  return oidc.discovery(new URL(issuer), clientId, clientSecret || undefined, clientSecret ? undefined : oidc.None(), {
    timeout: timeoutSeconds,
    [oidc.customFetch]: boundedFetch,
    // Only for a provider on this machine: see the settings.
    ...(isPlain && { execute: [oidc.allowInsecureRequests] }),
  });
}

/** Reads no more of an answer than any has. */
const boundedFetch: oidc.CustomFetch = async (url, options) => {
  const answer = await fetch(url, options as RequestInit);
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of answer.body ?? []) {
    size += part.length;
    if (size > maxAnswerBytes) throw new Error(`The provider's answer is longer than ${maxAnswerBytes} bytes.`);
    parts.push(part);
  }
  const { status, headers } = answer;
  const hasNoBody = [204, 205, 304].includes(status);
  return new Response(hasNoBody ? null : Buffer.concat(parts), { status, headers });
};

function toIdentity(claims: Record<string, unknown>, origin: string, options: OidcOptions): Caller {
  const { sub, [options.usernameClaim]: name, [options.groupsClaim]: told } = claims;
  if (typeof sub !== 'string' || sub === '' || sub.length > 255) throw refused();
  if (typeof name !== 'string') {
    throw new Problem('forbidden', `The provider does not tell your name: it has no claim ${options.usernameClaim}.`);
  }
  const groups = [told].flat().filter((group) => typeof group === 'string');
  const role = roleOfGroups(groups.slice(0, maxGroups), options.groups);
  return { origin, subject: sub, name, role };
}

/** What goes wrong at the provider is told in our words: theirs may be anybody's. */
async function asked<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Problem) throw error;
    if (error instanceof oidc.AuthorizationResponseError && error.error === 'access_denied') {
      throw Object.assign(new Problem('unauthenticated', 'You were not let in there.'), { cause: error });
    }
    // What fails below HTTP comes as fetch throws it.
    const isAway = error instanceof TypeError || (error instanceof oidc.ClientError && error.code === 'OAUTH_TIMEOUT');
    throw isAway ? unavailable(error) : refused(error);
  }
}

const refused = (cause?: unknown) =>
  Object.assign(new Problem('unauthenticated', 'The sign-in did not succeed, or took too long. Try again.'), { cause });

const unavailable = (cause: unknown) =>
  Object.assign(
    new Problem('unauthenticated', 'The sign-in server does not answer. Try again, or use a password if you have one.'),
    { cause },
  );

import { isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';
import type { Config } from '../config.ts';
import type { RelyingParty } from '../services/passkeys.ts';

/**
 * For whom a passkey is that is made or used by a request: `PUBLIC_URL`, else the host that was asked for. undefined where
 * browsers allow none: they want a name and no address, and TLS anywhere but at localhost.
 */
export function relyingPartyOf(request: FastifyRequest, { publicUrl }: Config): RelyingParty | undefined {
  const text = publicUrl || `${request.protocol}://${request.host}`;
  if (!URL.canParse(text)) return undefined;
  const { protocol, hostname, origin } = new URL(text);
  const isName = isIP(hostname.replace(/^\[|\]$/g, '')) === 0;
  const isSafe = protocol === 'https:' || hostname === 'localhost' || hostname.endsWith('.localhost');
  return isName && isSafe ? { id: hostname, origin } : undefined;
}

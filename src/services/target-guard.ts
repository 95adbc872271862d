// ipaddr.js: what an address is, by IANA's registries for both families; no dependencies.
import type { LookupAddress } from 'node:dns';
import { lookup as systemLookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { Problem } from '../errors.ts';

/** Which addresses beside public ones may be reached: none, all of the own networks, or those in some ranges. */
export type PrivateTargets = boolean | readonly string[];

/** Resolves a name to all its addresses. */
export type LookupAll = (name: string) => Promise<LookupAddress[]>;

/** What a guard works with; the lookup is the system's unless a test gives its own. */
export type TargetGuardOptions = { privateTargets: PrivateTargets; lookup?: LookupAll };

const lookupMs = 5_000;
const maxUrlLength = 2_000;
/** What stands for everybody or for nobody is no target, whatever is allowed. */
const never = new Set(['unspecified', 'broadcast', 'multicast', 'reserved']);
/** All that is given out on the public internet of today; the rest is for machines among themselves. */
const globalUnicast = ipaddr.IPv6.parseCIDR('2000::/3');

/** What keeps this program from being sent to places that only it can reach. */
export type TargetGuard = ReturnType<typeof createTargetGuard>;

/**
 * Creates the guard of outward addresses. A name passes only if all that it leads to may be reached, and the connection
 * has to be made to just these addresses: asked a second time, the name could lead elsewhere.
 */
export function createTargetGuard({ privateTargets, lookup = lookupAll }: TargetGuardOptions) {
  const ranges = typeof privateTargets === 'boolean' ? [] : privateTargets.map(toRange);

  function isAllowed(text: string): boolean {
    const address = unmapped(text);
    if (address === undefined) return false;
    if (ranges.some((range) => isWithin(address, range))) return true;
    if (isPublic(address)) return true;
    return privateTargets === true && !never.has(address.range());
  }

  return {
    /**
     * The addresses of an URL's host, all of which may be reached.
     * @throws Problem `forbidden`, in the same words whether the name is not known or leads to where nobody may go
     */
    async resolve(url: URL): Promise<LookupAddress[]> {
      const host = url.hostname.replace(/^\[|\]$/g, '');
      const family = isIP(host);
      const found = family ? [{ address: host, family }] : await withinTime(lookup(host)).catch(() => []);
      if (found.length > 0 && found.every(({ address }) => isAllowed(address))) return found;
      throw new Problem(
        'forbidden',
        'Its host is not known, or does not lead to public addresses only. ' +
          'Where alerts may go beside those is set by ALERT_PRIVATE_TARGETS.',
      );
    },
  };
}

/**
 * Reads the address of a target, without asking where it leads.
 * @throws Problem `invalid` that names the field and never the address, which may hold a secret
 */
export function parseTarget(field: string, text: string): URL {
  const fail = (reason: string) => new Problem('invalid', `${field}: ${reason}`);
  if (text.length > maxUrlLength) throw fail(`at most ${maxUrlLength} characters.`);
  if (!URL.canParse(text)) throw fail('must be an address such as https://hooks.example/alerts.');
  const url = new URL(text);
  if (!['http:', 'https:'].includes(url.protocol)) throw fail('must begin with https:// or http://.');
  if (url.username || url.password) throw fail('no user or password in it: give a token instead.');
  if (url.hostname === '') throw fail('must name a host.');
  url.hash = '';
  return url;
}

/** Whether a text is an address or a range of addresses (CIDR). */
export const isAddressRange = (text: string): boolean => ipaddr.isValidCIDR(text) || isIP(text) !== 0;

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Range = [Address, number];

function toRange(text: string): Range {
  if (text.includes('/')) return ipaddr.parseCIDR(text);
  const address = ipaddr.process(text);
  return [address, address.kind() === 'ipv6' ? 128 : 32];
}

/** An IPv4 address that is written as an IPv6 one is what it is; a zone (`%eth0`) is of this machine alone. */
function unmapped(text: string): Address | undefined {
  return isIP(text) && !text.includes('%') ? ipaddr.process(text) : undefined;
}

const isWithin = (address: Address, [base, bits]: Range) =>
  address.kind() === base.kind() && address.match(base as ipaddr.IPv4, bits);

function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast') return false;
  return address.kind() === 'ipv4' || (address as ipaddr.IPv6).match(globalUnicast);
}

const lookupAll: LookupAll = (name) => systemLookup(name, { all: true });

function withinTime<T>(found: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error('The name was not resolved in time.')), lookupMs);
  return Promise.race([found, late.promise]).finally(() => clearTimeout(timer));
}

import { isIP } from 'node:net';

const groupsOfNetwork = 4;
const groupsOfAddress = 8;

/**
 * What a client is counted by: its IPv4 address, or the /64 network of its IPv6 address, all of which one customer has
 * (RFC 6177).
 */
export function clientOfAddress(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
  if (isIP(plain) !== 6) return plain;
  const [before = '', after] = (plain.split('%')[0] ?? '').split('::');
  const [first, last] = [before, after ?? ''].map((part) => part.split(':').filter(Boolean)) as [string[], string[]];
  const missing = after === undefined ? 0 : groupsOfAddress - first.length - last.length;
  const groups = [...first, ...Array.from({ length: Math.max(0, missing) }, () => '0'), ...last];
  const network = groups.slice(0, groupsOfNetwork).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(':')}::/64`;
}

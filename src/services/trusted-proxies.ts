import { BlockList, isIP } from 'node:net';

/** Creates the test whether an address is of a proxy that is trusted, by addresses and CIDRs. */
export function createProxyTest(trusted: false | readonly string[]): (address: string | undefined) => boolean {
  const list = new BlockList();
  for (const item of trusted || []) {
    const [address = '', bits] = item.split('/');
    const family = familyOf(address);
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address = '') => {
    // A socket that takes both kinds tells old addresses in the new form.
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
    return isIP(plain) !== 0 && list.check(plain, familyOf(plain));
  };
}

const familyOf = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4');

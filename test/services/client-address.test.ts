import t from 'tap';
import { clientOfAddress } from '../../src/services/client-address.ts';

t.test('a client is one address, or one network of the newer kind', (t) => {
  for (const [address, client] of [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:0:1::5', '2001:db8:0:1::/64'],
    ['2001:DB8:0:1:ffff:0:0:9', '2001:db8:0:1::/64'],
    ['2001:db8::1:0:0:9', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
  ] as const) {
    t.equal(clientOfAddress(address), client, address);
  }
  t.end();
});

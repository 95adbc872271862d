import { run } from './commands.ts';
import { MissingEngine } from './missing.ts';
import type { Place } from './place.ts';

/** How an engine is put into its network: what dockerd is started with, and where its published ports answer. */
export type Network = { prefix: readonly string[]; flags: readonly string[]; address: string };

/**
 * A network namespace of the engine's own, with a cable to the host. Its firewall rules and its docker0 then can't
 * meet another engine's: two of them in one namespace delete each other's. It has no way to the outside.
 */
export async function privateNetwork(place: Place): Promise<Network> {
  try {
    await lay(place);
  } catch (error) {
    throw new MissingEngine(
      `No network namespace can be made here: ${error instanceof Error ? error.message : error}.`,
    );
  }
  return {
    // Not "ip netns exec": that mounts /sys anew, and the cgroups are gone.
    prefix: ['nsenter', `--net=/run/netns/${place.namespace}`],
    flags: ['--bip=172.30.0.1/16', '--default-address-pool=base=172.28.0.0/15,size=24'],
    address: place.engineAddress,
  };
}

/**
 * The host's own network, for builds that fetch packages. The engine has a bridge of its own and touches no firewall
 * rule, so that an engine of the machine goes on undisturbed; its containers reach the outside with --network=host only.
 */
export async function hostNetwork({ bridge, bridgeAddress }: Place): Promise<Network> {
  await run('ip', ['link', 'add', bridge, 'type', 'bridge']);
  await run('ip', ['addr', 'add', `${bridgeAddress}/24`, 'dev', bridge]);
  await run('ip', ['link', 'set', bridge, 'up']);
  const off = ['iptables', 'ip6tables', 'ip-forward', 'ip-masq'].map((name) => `--${name}=false`);
  return { prefix: [], flags: [`--bridge=${bridge}`, ...off], address: '127.0.0.1' };
}

async function lay({ namespace, link, hostAddress, engineAddress }: Place): Promise<void> {
  const inside = ['-n', namespace];
  await run('ip', ['netns', 'add', namespace]);
  await run('ip', ['link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace]);
  await run('ip', ['addr', 'add', `${hostAddress}/30`, 'dev', link]);
  await run('ip', ['link', 'set', link, 'up']);
  await run('ip', [...inside, 'addr', 'add', `${engineAddress}/30`, 'dev', 'eth0']);
  await run('ip', [...inside, 'link', 'set', 'eth0', 'up']);
  await run('ip', [...inside, 'link', 'set', 'lo', 'up']);
  await run('ip', [...inside, 'route', 'add', 'default', 'via', hostAddress]);
}

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** How a connection is cut: at both ends, in good order, after a silence, or at the browser's end alone for a while. */
const ways = ['reset', 'closed', 'silent', 'half open'] as const;

/**
 * Where and how one connection is cut: in the middle of what the program sends at once, behind so many whole ones; so
 * many bytes more are swallowed meanwhile.
 */
type Plan = { way: (typeof ways)[number]; whole: number; part: number; swallowed: number };

/** The answer that opens the socket, some states, and a few batches of lines. */
const mostWhole = 7;
const mostSwallowed = 6_000;

/**
 * An address of its own that leads to the program and cuts the sockets of logs `most` times, at random places in what
 * the program sends and in random ways. All else passes whole.
 */
export async function startRoughCable(target: string, most: number, random: () => number) {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const logs = new Set<() => void>();
  const cuts = new Map<string, number>();
  let planned = 0;
  let opened = 0;

  const draw = (below: number) => Math.floor(random() * below);

  function nextPlan(): Plan {
    if (planned === most) return { way: 'reset', whole: Number.POSITIVE_INFINITY, part: 1, swallowed: 0 };
    planned += 1;
    const way = ways[draw(ways.length)] ?? 'reset';
    const isSilent = way === 'silent' || way === 'half open';
    return { way, whole: draw(mostWhole), part: random(), swallowed: isSilent ? draw(mostSwallowed) : 0 };
  }

  function keep(socket: Socket): void {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  }

  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const socket of [near, far]) keep(socket);
    far.on('close', () => near.end());
    near.once('data', (head: Buffer) => {
      far.write(head);
      near.pipe(far);
      if (/^GET \S*topic=logs/.test(head.toString('latin1'))) carryLog(near, far, nextPlan());
      else {
        far.pipe(near);
        near.on('close', () => far.destroy());
      }
    });
  });

  /** Hands on what the program sends up to the planned place, cuts, and swallows the rest for a while. */
  function carryLog(near: Socket, far: Socket, { way, whole, part, swallowed }: Plan): void {
    let passed = 0;
    let toSwallow = swallowed;
    opened += 1;

    function cutNear(how: string): void {
      if (!logs.delete(cutBoth)) return;
      cuts.set(how, (cuts.get(how) ?? 0) + 1);
      if (how === 'closed') near.end();
      else near.resetAndDestroy();
    }

    function cutBoth(): void {
      cutNear(passed > whole ? way : 'reset');
      far.resetAndDestroy();
    }

    function swallow(length: number): void {
      toSwallow -= length;
      if (toSwallow <= 0) cutBoth();
    }

    logs.add(cutBoth);
    near.on('close', () => {
      logs.delete(cutBoth);
      if (way !== 'half open') far.destroy();
    });
    far.on('data', (chunk: Buffer) => {
      passed += 1;
      if (passed <= whole) return void near.write(chunk);
      if (passed > whole + 1) return swallow(chunk.length);
      near.write(chunk.subarray(0, Math.ceil(chunk.length * part)), () => {
        if (way !== 'silent') cutNear(way);
        swallow(0);
      });
    });
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** How many sockets of logs were opened. */
    opened: () => opened,
    /** How many were cut. */
    cuts: () => [...cuts.values()].reduce((sum, count) => sum + count, 0),
    /** How many were cut in each way. */
    ways: () => Object.fromEntries(cuts),
    /** Cuts those that are open, whatever is planned for them. */
    cut: () => {
      for (const cutOne of logs) cutOne();
    },
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

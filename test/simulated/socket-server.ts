import { existsSync, renameSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** A listener on a unix socket that can die and come back on the same path. */
export type SocketServer = ReturnType<typeof createSocketServer>;

/** Creates a server that does not listen yet; `isUnreferenced` keeps it from holding the process. */
export function createSocketServer(
  socketPath: string,
  isUnreferenced: boolean,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
) {
  const sockets = new Set<Socket>();
  let server: Server | null = null;

  async function listen(): Promise<void> {
    if (server) return;
    const created = createServer({ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 }, handle);
    server = created;
    created.on('connection', track);
    rmSync(socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      created.once('error', reject);
      created.listen(socketPath, resolve);
    });
    if (isUnreferenced) created.unref();
  }

  function track(socket: Socket): void {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    if (isUnreferenced) socket.unref();
  }

  /** Stops listening; a path that is kept refuses connections, as after `kill -9`. */
  async function stop(keepsPath: boolean, dropsConnections: boolean): Promise<void> {
    const stopped = server;
    if (!stopped) return;
    server = null;
    const aside = `${socketPath}.aside`;
    // Closing removes the file at the path it was bound to: so it is somewhere else meanwhile.
    if (keepsPath && existsSync(socketPath)) renameSync(socketPath, aside);
    const closed = new Promise((resolve) => stopped.close(resolve));
    if (keepsPath && existsSync(aside)) renameSync(aside, socketPath);
    if (!dropsConnections) return;
    dropConnections();
    await closed;
  }

  function dropConnections(): void {
    for (const socket of sockets) socket.destroy();
  }

  return { listen, stop, dropConnections, isListening: () => server !== null };
}

import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import type { Test } from 'tap';

/** A request as a receiver got it, its JSON parsed. */
export type Received = { path: string; headers: IncomingHttpHeaders; body: Record<string, unknown> };

/** A webhook's far end: what it got, and the statuses that it answers with; `hold` lets an answer wait. */
export async function startReceiver(t: Test) {
  const got: Received[] = [];
  const statuses: number[] = [];
  let held: Promise<void> = Promise.resolve();
  const server = createHttpServer(async (request, response) => {
    let text = '';
    for await (const chunk of request.setEncoding('utf8')) text += chunk;
    got.push({ path: request.url ?? '', headers: request.headers, body: JSON.parse(text) as Received['body'] });
    const status = statuses.shift() ?? 204;
    await held;
    response.writeHead(status).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    got,
    /** The statuses of the next answers; 204 when there are no more. */
    answer: (...next: number[]) => void statuses.push(...next),
    /** Lets answers wait until the returned function is called. */
    hold(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return resolve;
    },
  };
}

/** A mail as it came over the wire. */
export type Mail = { from: string; to: string[]; data: string };

/** A mail server in plain text that takes what it is given; `refuse` names a recipient that it does not know, `busy` so many logins get a 454. */
export async function startMailServer(t: Test, { refuse = '', isSilent = false, login = '', busy = 0 } = {}) {
  const mails: Mail[] = [];
  const logins: string[] = [];
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
    if (!isSilent) speak(socket);
  });

  function speak(socket: Socket) {
    let mail: Mail = { from: '', to: [], data: '' };
    let isData = false;
    let rest = '';
    const say = (text: string) => socket.write(`${text}\r\n`);
    say('220 mail.test ESMTP');
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\r\n');
      rest = lines.pop() ?? '';
      for (const line of lines) take(line);
    });

    function take(line: string) {
      if (isData) return takeData(line);
      const [command = ''] = line.toUpperCase().split(/[ :]/);
      if (command === 'EHLO') return say(login ? '250-mail.test\r\n250 AUTH PLAIN' : '250 mail.test');
      if (command === 'AUTH') return takeLogin(line);
      if (command === 'MAIL') mail.from = addressOf(line);
      if (command === 'RCPT' && refuse && addressOf(line) === refuse) return say('550 no such user');
      if (command === 'RCPT') mail.to.push(addressOf(line));
      if (command === 'DATA') isData = true;
      if (command === 'STARTTLS') return say('502 not here');
      if (command === 'QUIT') return void socket.end('221 bye\r\n');
      say(command === 'DATA' ? '354 go on' : '250 ok');
    }

    function takeLogin(line: string) {
      const text = Buffer.from(line.split(' ')[2] ?? '', 'base64')
        .toString()
        .split('\0')
        .slice(1)
        .join(':');
      logins.push(text);
      if (logins.length <= busy) return say('454 temporary failure');
      say(text === login ? '235 welcome' : '535 wrong password');
    }

    function takeData(line: string) {
      if (line !== '.') {
        mail.data += `${line}\r\n`;
        return;
      }
      isData = false;
      mails.push(mail);
      mail = { from: '', to: [], data: '' };
      say('250 taken');
    }
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, mails, logins, connections: () => sockets.size };
}

const addressOf = (line: string) => /<([^>]*)>/.exec(line)?.[1] ?? '';

import { connect, type Socket } from 'node:net';
import { DeliveryError } from './alert-delivery.ts';

/** The mail server, as the settings name it. */
export type SmtpServer = {
  host: string;
  port: number;
  /** TLS from the first byte, TLS that has to be begun, or none. */
  tls: 'always' | 'starttls' | 'off';
  user?: string;
  password?: string;
};

/** A mail in plain text; `id` is the same each time that it is sent. */
export type Mail = { id: string; to: readonly string[]; subject: string; text: string };

const silentMs = 15_000;
const mailMs = 30_000;

/** Sends mails through the server of the settings. */
export type Mailer = ReturnType<typeof createMailer>;

/** Creates the sender of mails; each has a connection of its own, which ends with it or with its signal, after 30 s at most. */
export function createMailer(server: SmtpServer, from: string) {
  const { host, port, tls, user, password } = server;

  /**
   * Tells how many recipients the server refused, where it took the mail for others.
   * @throws DeliveryError, final where the server refuses for good
   */
  return async function send({ id, to, subject, text }: Mail, signal: AbortSignal): Promise<number> {
    // nodemailer: SMTP with STARTTLS and the encoding of headers; kept well since 2010, no dependencies. It is loaded with
    // the first mail: who sends none does not pay its 5 MB and 100 ms.
    const { createTransport } = await import('nodemailer');
    const transport = createTransport({
      host,
      port,
      secure: tls === 'always',
      requireTLS: tls === 'starttls',
      ignoreTLS: tls === 'off',
      ...(user && { auth: { user, pass: password ?? '' } }),
      greetingTimeout: silentMs,
      socketTimeout: silentMs,
      disableFileAccess: true,
      disableUrlAccess: true,
      getSocket: openSocket(server, AbortSignal.any([signal, AbortSignal.timeout(mailMs)])),
    });
    try {
      const { rejected } = await transport.sendMail({
        from: { name: 'Fairlead', address: from },
        to: to.map((address) => ({ name: '', address })),
        subject,
        text,
        messageId: `<${id}@${from.split('@')[1] ?? 'fairlead'}>`,
        headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
      });
      return rejected.length;
    } catch (error) {
      throw toDeliveryError(error);
    } finally {
      transport.close();
    }
  };
}

/** A socket that ends with a signal: the library has no way to end what it has begun. */
const openSocket =
  ({ host, port }: SmtpServer, signal: AbortSignal) =>
  (_options: unknown, callback: (error: Error | null, found?: { connection: Socket }) => void) => {
    const connection = connect({ host, port, signal });
    connection.once('error', callback);
    connection.once('connect', () => {
      connection.off('error', callback);
      callback(null, { connection });
    });
  };

function toDeliveryError(error: unknown): DeliveryError {
  const { responseCode = 0, code } = error as { responseCode?: number; code?: string };
  const told = responseCode > 0 ? ` (${responseCode})` : '';
  if (code === 'ETLS') return new DeliveryError('The mail server did not begin TLS as it has to.', false, error);
  // 5xx is the server's last word, 4xx asks to come again; a login fails for a while too.
  const isFinal = responseCode >= 500;
  if (code === 'EAUTH') return new DeliveryError(`The mail server refused the login${told}.`, isFinal, error);
  if (isFinal) return new DeliveryError(`The mail server refused the mail${told}.`, true, error);
  if (responseCode >= 400) return new DeliveryError(`The mail server did not take the mail${told}.`, false, error);
  return new DeliveryError('The mail server could not be reached.', false, error);
}

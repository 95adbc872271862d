import { Problem } from '../errors.ts';
import { DeliveryError } from './alert-delivery.ts';
import type { Mailer } from './alert-mail.ts';
import { readName } from './alert-rules.ts';
import {
  type ChannelKind,
  type ChannelSecrets,
  type ChannelSettings,
  channelKinds,
  type Notification,
} from './alert-types.ts';
import type { GuardedPost } from './guarded-post.ts';
import { parseTarget, type TargetGuard } from './target-guard.ts';

/** A channel as forms and scripts give it; a secret that is left out stays as it is. */
export type ChannelInput = {
  kind?: string | undefined;
  name?: string | undefined;
  url?: string | undefined;
  token?: string | undefined;
  /** Whether the token that is kept shall go. */
  clearToken?: boolean | undefined;
  topic?: string | undefined;
  priority?: number | undefined;
  recipients?: string | readonly string[] | undefined;
  lines?: number | undefined;
};

/** A channel with its secrets, for as long as it is changed or sent to. */
export type OpenChannel = { settings: ChannelSettings; secrets: ChannelSecrets };

/** A notification in words, made for each channel anew. */
export type AlertWords = {
  title: string;
  text: string;
  /** The page that tells more; empty where the outward address is not known. */
  link: string;
  /** The same as data, for webhooks. */
  json: object;
};

const maxToken = 1_000;
const maxRecipients = 10;
export const maxSentLines = 20;
const defaultServer = 'https://ntfy.sh';
const maxNtfyBytes = 4_000;
const names: Record<ChannelKind, string> = { webhook: 'Webhook', ntfy: 'ntfy', email: 'E-mail' };

const wrong = (field: string, allowed: string) => new Problem('invalid', `${field}: ${allowed}`);

/**
 * Reads a channel; `before` is what it was, whose secrets stay where none are given. A token never goes along to another
 * host than it was given for.
 * @throws Problem `invalid` that names the field and what is allowed, never a secret
 */
export function readChannel(input: ChannelInput, before?: OpenChannel): OpenChannel {
  const kind = before?.settings.kind ?? channelKinds.find((known) => known === input.kind);
  if (!kind) throw wrong('kind', `must be one of ${channelKinds.join(', ')}.`);
  const common = {
    kind,
    name: readName(input.name, names[kind]),
    lines: inRange('lines', input.lines ?? before?.settings.lines ?? 0, 0, maxSentLines),
    priority: inRange('priority', input.priority ?? before?.settings.priority ?? 4, 1, 5),
  };
  if (kind === 'email') {
    const recipients = readRecipients(input.recipients ?? before?.settings.recipients ?? []);
    return {
      settings: { ...common, origin: '', hasToken: false, recipients },
      secrets: { url: '', token: '', topic: '' },
    };
  }
  const url = readUrl(kind, input.url?.trim(), before?.secrets.url);
  const { origin } = new URL(url);
  const token = readToken(input, before?.settings.origin === origin ? before.secrets.token : '');
  const topic = kind === 'ntfy' ? readTopic(input.topic?.trim() || before?.secrets.topic || '') : '';
  return { settings: { ...common, origin, hasToken: token !== '', recipients: [] }, secrets: { url, token, topic } };
}

function readUrl(kind: ChannelKind, given: string | undefined, before: string | undefined): string {
  const text = given || before || (kind === 'ntfy' ? defaultServer : '');
  if (text === '') throw wrong('url', 'must be an address such as https://hooks.example/alerts.');
  const url = parseTarget('url', text);
  if (kind === 'ntfy') checkServer(url);
  return url.href;
}

/** JSON goes to an ntfy server's root only: at a topic's address it would be taken for the message itself. */
function checkServer({ pathname, search }: URL) {
  if (pathname === '/' && search === '') return;
  throw wrong('url', `must be a server alone, such as ${defaultServer}: the topic has its own field.`);
}

function readToken({ token = '', clearToken = false }: ChannelInput, before: string): string {
  const text = token.trim();
  if (text.length > maxToken || /[^\x21-\x7e]/.test(text)) {
    throw wrong('token', `at most ${maxToken} printable characters without spaces.`);
  }
  return text || (clearToken ? '' : before);
}

function readTopic(text: string): string {
  if (/^[-_A-Za-z0-9]{1,64}$/.test(text)) return text;
  throw wrong('topic', 'must be 1 to 64 letters, digits, "_" and "-".');
}

// Rather too little than too much: no quotes, no comments, no lists; nothing of it can end a header.
const mailbox = /^[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/i;

function readRecipients(input: string | readonly string[]): string[] {
  const found = [input]
    .flat()
    .flatMap((text) => text.split(/[\s,;]+/))
    .filter(Boolean);
  if (found.length === 0) throw wrong('recipients', 'at least one address.');
  if (found.length > maxRecipients) throw wrong('recipients', `at most ${maxRecipients} addresses.`);
  if (found.some((address) => !mailbox.test(address))) {
    throw wrong('recipients', 'must be addresses such as ops@example.org, separated by commas.');
  }
  return [...new Set(found)];
}

function inRange(field: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw wrong(field, `must be a whole number from ${min} to ${max}.`);
}

/** What notifications are sent with. */
export type SenderOptions = { guard: TargetGuard; post: GuardedPost; mailer: Mailer | null };

/** Sends notifications by the kinds of their channels. */
export type AlertSender = ReturnType<typeof createAlertSender>;

/** Creates the sender for all kinds of channels. */
export function createAlertSender({ guard, post, mailer }: SenderOptions) {
  async function sendWebhook({ secrets }: OpenChannel, words: AlertWords, signal: AbortSignal): Promise<string> {
    return postJson(secrets.url, words.json, secrets.token, signal);
  }

  async function sendNtfy(
    { settings, secrets }: OpenChannel,
    words: AlertWords,
    signal: AbortSignal,
    { notice }: Notification,
  ) {
    const body = {
      topic: secrets.topic,
      title: words.title,
      // A longer one becomes an attachment there.
      message: cut(words.text, maxNtfyBytes),
      priority: notice.what === 'resolved' ? Math.min(settings.priority, 3) : settings.priority,
      tags: [{ firing: 'rotating_light', resolved: 'white_check_mark', test: 'mega' }[notice.what]],
      ...(words.link && { click: words.link }),
    };
    return postJson(secrets.url, body, secrets.token, signal);
  }

  async function sendMail({ settings }: OpenChannel, words: AlertWords, signal: AbortSignal, { id }: Notification) {
    if (!mailer) throw new DeliveryError('No mail server is set: SMTP_URL.', true);
    const { title: subject, text } = words;
    const to = settings.recipients;
    const refused = await mailer({ id: `alert-${id}`, to, subject, text }, signal);
    return refused === 0
      ? 'The mail server took it.'
      : `The mail server took it, but not for ${refused} of ${to.length} recipients.`;
  }

  /** The same words for whatever keeps an answer away: they tell nothing of a network. */
  async function postJson(url: string, body: object, token: string, signal: AbortSignal): Promise<string> {
    const headers = token === '' ? {} : { authorization: `Bearer ${token}` };
    const status = await post({ url: new URL(url), body, headers }, signal).catch((error: unknown) => {
      // Not for good: a name that is not known now may be known in a minute, and it is checked each time.
      if (error instanceof Problem) throw new DeliveryError(error.message, false, error);
      throw new DeliveryError('The target could not be reached, or did not answer in time.', false, error);
    });
    if (status >= 200 && status < 300) return `The target took it (${status}).`;
    if (status >= 300 && status < 400) {
      throw new DeliveryError(`The target answered with a redirect (${status}), which is not followed.`, true);
    }
    const isFinal = status >= 400 && status < 500 && ![408, 425, 429].includes(status);
    throw new DeliveryError(`The target refused it (${status}).`, isFinal);
  }

  const senders = { webhook: sendWebhook, ntfy: sendNtfy, email: sendMail };

  return {
    /** Whether mails can be sent at all. */
    hasMail: mailer !== null,

    /**
     * Checks where a channel leads.
     * @throws Problem `invalid` that names `url`
     */
    async check({ settings, secrets }: OpenChannel): Promise<void> {
      if (settings.kind === 'email') return;
      await guard.resolve(new URL(secrets.url)).catch((error: Error) => {
        throw wrong('url', error.message);
      });
    },

    /**
     * Sends and tells how that went.
     * @throws DeliveryError
     */
    send: (channel: OpenChannel, words: AlertWords, notification: Notification, signal: AbortSignal): Promise<string> =>
      senders[channel.settings.kind](channel, words, signal, notification),
  };
}

/** As much of a text as has room in so many bytes. */
function cut(text: string, bytes: number): string {
  const whole = Buffer.from(text);
  // What is left of a character that was cut in two is not shown.
  return whole.length <= bytes
    ? text
    : `${whole
        .subarray(0, bytes - 3)
        .toString()
        .replace(/\ufffd+$/, '')}…`;
}

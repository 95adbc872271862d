import { Problem } from '../errors.ts';
import { type AlertSender, type ChannelInput, type OpenChannel, readChannel } from './alert-channels.ts';
import { type RuleInput, readRule } from './alert-rules.ts';
import type { AlertStore, KeptChannel } from './alert-store.ts';
import { type Channel, type ChannelSecrets, isAboutFigures, type Rule, type RuleSettings } from './alert-types.ts';
import type { SecretBox } from './secret-box.ts';

/** What the settings of alerts work with. */
export type AlertSettingsOptions = {
  store: AlertStore;
  secretBox: SecretBox;
  sender: AlertSender;
  /** Whether figures are sampled at all. */
  hasFigures: boolean;
  now: () => number;
  /** Something is different; `rule` is one that is no longer what it was. */
  onChange: (rule?: number) => Promise<void>;
};

const maxRules = 100;
const maxChannels = 20;
const purpose = 'alert-channel';
const noSecrets: ChannelSecrets = { url: '', token: '', topic: '' };

/** Rules and channels, as people decide. */
export type AlertSettings = Awaited<ReturnType<typeof createAlertSettings>>;

/** Reads rules and channels, and keeps what becomes of them: 100 rules and 20 channels at most. */
export async function createAlertSettings(options: AlertSettingsOptions) {
  const { store, secretBox, sender, now } = options;
  let rules = await store.rules();
  let channels = await store.channels();
  // Every look at the page asks for them, and each has to be decrypted.
  let shown = channels.map(toChannel);

  const findRule = (id: number): Rule => rules.find((rule) => rule.id === id) ?? missing('Rule', id);
  const findChannel = (id: number): KeptChannel =>
    channels.find((channel) => channel.id === id) ?? missing('Channel', id);
  const findShown = (id: number): Channel => shown.find((channel) => channel.id === id) ?? missing('Channel', id);

  async function reload(rule?: number) {
    rules = await store.rules();
    channels = await store.channels();
    shown = channels.map(toChannel);
    await options.onChange(rule);
  }

  /**
   * undefined where the key that it was sealed with is gone.
   * @throws Problem `internal` where the key can't be read: later it may be
   */
  function open({ settings, sealed }: KeptChannel): OpenChannel | undefined {
    if (sealed === null) return { settings, secrets: noSecrets };
    const text = unseal(sealed);
    return text === undefined ? undefined : { settings, secrets: JSON.parse(text) as ChannelSecrets };
  }

  function unseal(sealed: string): string | undefined {
    try {
      return secretBox.open(sealed, purpose);
    } catch (error) {
      const problem = new Problem('internal', 'The key of its address could not be read.');
      problem.cause = error;
      throw problem;
    }
  }

  /** One whose key can't be read for now is not lost: nobody has to enter anything anew. */
  function isLost(kept: KeptChannel): boolean {
    try {
      return open(kept) === undefined;
    } catch {
      return false;
    }
  }

  function seal({ settings, secrets }: OpenChannel): string | null {
    return settings.kind === 'email' ? null : secretBox.seal(JSON.stringify(secrets), purpose);
  }

  function toChannel(kept: KeptChannel): Channel {
    return { ...kept.settings, id: kept.id, isLost: isLost(kept) };
  }

  function readKnown(input: RuleInput): RuleSettings {
    const rule = readRule(input);
    if (!options.hasFigures && isAboutFigures(rule.watch.kind)) {
      throw new Problem('invalid', 'kind: no figures are taken, since STATS_INTERVAL is 0.');
    }
    const unknown = rule.channels.find((id) => !channels.some((channel) => channel.id === id));
    if (unknown !== undefined) throw new Problem('invalid', `channels: there is no channel ${unknown}.`);
    return rule;
  }

  async function readChecked(input: ChannelInput, before?: OpenChannel): Promise<OpenChannel> {
    const channel = readChannel(input, before);
    if (channel.settings.kind === 'email' && !sender.hasMail) {
      throw new Problem('invalid', 'kind: mails can be sent when SMTP_URL and SMTP_FROM are set.');
    }
    await sender.check(channel);
    return channel;
  }

  return {
    rules: (): readonly Rule[] => rules,

    keptChannels: (): readonly KeptChannel[] => channels,

    channels: (): readonly Channel[] => shown,

    /** @throws Problem `not_found` */
    rule: findRule,

    /** @throws Problem `not_found` */
    keptChannel: findChannel,

    /** @throws Problem `not_found` */
    channel: findShown,

    /** A channel with its secrets; undefined where the key that they were sealed with is gone. @throws Problem `internal` */
    open,

    /** @throws Problem `invalid`, or `conflict` where there are too many */
    async addRule(input: RuleInput, enabled = true): Promise<Rule> {
      const rule = readKnown(input);
      if (rules.length >= maxRules) throw new Problem('conflict', `There are ${maxRules} rules already.`);
      const id = await store.addRule(rule, enabled, now());
      await reload();
      return findRule(id);
    },

    /**
     * Changes a rule; its kind stays.
     * @throws Problem `invalid`, `not_found`
     */
    async changeRule(id: number, input: RuleInput, enabled?: boolean): Promise<Rule> {
      const before = findRule(id);
      const rule = readKnown({ ...input, kind: before.watch.kind });
      await store.changeRule(id, rule, enabled ?? before.enabled);
      await reload(id);
      return findRule(id);
    },

    /** @throws Problem `not_found` */
    async switchRule(id: number, enabled: boolean): Promise<Rule> {
      await store.changeRule(id, findRule(id), enabled);
      await reload(id);
      return findRule(id);
    },

    /** @throws Problem `not_found` */
    async removeRule(id: number): Promise<Rule> {
      const rule = findRule(id);
      await store.removeRule(id);
      await reload(id);
      return rule;
    },

    /** @throws Problem `invalid`, or `conflict` where there are too many */
    async addChannel(input: ChannelInput): Promise<Channel> {
      const channel = await readChecked(input);
      if (channels.length >= maxChannels) throw new Problem('conflict', `There are ${maxChannels} channels already.`);
      const id = await store.addChannel(channel.settings, seal(channel), now());
      await reload();
      return findShown(id);
    },

    /**
     * Changes a channel; its kind stays, and so do secrets that are not given.
     * @throws Problem `invalid`, `not_found`, `internal` where the key can't be read
     */
    async changeChannel(id: number, input: ChannelInput): Promise<Channel> {
      const kept = findChannel(id);
      const before = open(kept) ?? { settings: kept.settings, secrets: noSecrets };
      const channel = await readChecked(input, before);
      await store.changeChannel(id, channel.settings, seal(channel));
      await reload();
      return findShown(id);
    },

    /** @throws Problem `not_found` */
    async removeChannel(id: number): Promise<Channel> {
      const channel = findShown(id);
      await store.removeChannel(id);
      await reload();
      return channel;
    },
  };
}

function missing(what: string, id: number): never {
  throw new Problem('not_found', `${what} ${id} not found`);
}

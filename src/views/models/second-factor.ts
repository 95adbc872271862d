import type { Passkey } from '../../services/passkeys.ts';
import { toQrCode } from '../../services/qr-code.ts';
import type { SecondFactorInfo } from '../../services/second-factors.ts';
import { dateTime, duration } from '../format.ts';
import { toShared, type ViewContext } from './context.ts';

/** What somebody has to sign in with besides their password, and whether passkeys are possible where they are. */
export type OwnFactors = { app: SecondFactorInfo; passkeys: readonly Passkey[]; allowsPasskeys: boolean };

/** A secret that an app shall take over, and the form with its first code. */
export function proposalModel(
  { secret, uri, ticket, fault }: { secret: string; uri: string; ticket: string; fault: string },
  context: ViewContext,
) {
  const { base } = context;
  return {
    ...toShared(context),
    action: `${base}/account/second-factor/confirm`,
    cancelHref: `${base}/account`,
    secret: secret.match(/.{1,4}/g)?.join(' ') ?? secret,
    picture: toQrCode(uri),
    ticket,
    fault,
  };
}

/** Recovery codes, which are told this once. */
export const recoveryModel = (codes: readonly string[], context: ViewContext) => ({
  ...toShared(context),
  codes,
  accountHref: `${context.base}/account`,
});

/** The part of one's account about the second factor. */
export function factorsModel({ app, passkeys, allowsPasskeys }: OwnFactors, { base, now }: ViewContext) {
  const ago = (moment: number) => ({
    iso: new Date(moment).toISOString(),
    text: `${duration(Math.max(0, now - moment))} ago`,
    title: dateTime(moment),
  });
  const hasSome = app.since !== null || passkeys.length > 0;
  return {
    app: app.since === null ? null : { since: ago(app.since) },
    codesLeft: hasSome ? app.codesLeft : null,
    setUpHref: `${base}/account/second-factor`,
    removeHref: `${base}/account/second-factor/remove`,
    codesHref: `${base}/account/recovery-codes`,
    allowsPasskeys,
    optionsHref: `${base}/api/account/passkeys/options`,
    addHref: `${base}/account/passkeys`,
    passkeys: passkeys.map(({ id, name, createdAt, usedAt }) => ({
      name,
      created: ago(createdAt),
      used: usedAt === null ? null : ago(usedAt),
      removeHref: `${base}/account/passkeys/${id}/remove`,
    })),
  };
}

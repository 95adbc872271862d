import type { AuditEntry, AuditResult } from '../../services/audit.ts';
import type { Role } from '../../services/capabilities.ts';
import type { SessionInfo } from '../../services/sessions.ts';
import type { Token } from '../../services/tokens.ts';
import type { User } from '../../services/users.ts';
import { dateTime, duration } from '../format.ts';
import { toHref, toShared, type ViewContext } from './context.ts';
import { factorsModel, type OwnFactors } from './second-factor.ts';

type Choice = { value: string; label: string; selected: boolean };

const roleWords: Record<Role, string> = {
  viewer: 'Viewer: sees everything, changes nothing',
  operator: 'Operator: starts and stops, pulls and removes images',
  admin: 'Admin: everything',
};

const rolesToChoose = ['viewer', 'operator', 'admin'] as const satisfies readonly Role[];
const capabilityWords = [
  ['read', 'See everything'],
  ['control', 'Start, stop, restart, pause and kill containers'],
  ['images', 'Pull and remove images'],
  ['rebuild', 'Rebuild containers'],
  ['remove', 'Remove containers'],
  ['alerts', 'Change alerts'],
  ['admin', 'Users, tokens, audit'],
] as const;

const toTime = (moment: number, now: number) => ({
  iso: new Date(moment).toISOString(),
  text: `${duration(Math.max(0, now - moment))} ago`,
  title: dateTime(moment),
});
const scopeText = (scope: readonly string[] | null) => (scope === null ? 'everything' : scope.join(', '));

/** One's own account: who one is, and where one is signed in. */
export function accountModel(
  user: User,
  factors: OwnFactors,
  open: readonly SessionInfo[],
  own: string,
  context: ViewContext,
) {
  const { base, now } = context;
  return {
    ...toShared(context),
    account: {
      name: user.name,
      role: roleWords[user.role],
      scope: user.scope && scopeText(user.scope),
      origin: user.origin,
      outHref: user.origin === null || user.origin === 'proxy' ? null : `${base}/login/oidc/out`,
    },
    factors: factorsModel(factors, context),
    sessions: open.map(({ id, client, startedAt, seenAt }) => ({
      client,
      isOwn: id === own,
      started: toTime(startedAt, now),
      seen: toTime(seenAt, now),
    })),
    passwordHref: `${base}/account/password`,
    everywhereHref: `${base}/account/sign-out-everywhere`,
  };
}

/** Everybody who may sign in. */
export function userListModel(users: readonly User[], hasFactor: (user: User) => boolean, context: ViewContext) {
  const { base, now } = context;
  return {
    ...toShared(context),
    newHref: `${base}/users/new`,
    users: users.map((user) => ({
      hasFactor: hasFactor(user),
      origin: user.origin,
      name: user.name,
      href: `${base}/users/${user.id}`,
      role: user.role,
      scope: scopeText(user.scope),
      locked: user.locked,
      created: toTime(user.createdAt, now),
    })),
  };
}

/** The form of a user, or of a new one. */
export function userFormModel(user: User | undefined, hasFactor: boolean, context: ViewContext) {
  const { base } = context;
  const href = user ? `${base}/users/${user.id}` : `${base}/users`;
  return {
    ...toShared(context),
    form: {
      title: user ? user.name : 'New user',
      isNew: user === undefined,
      origin: user?.origin ?? null,
      action: href,
      cancelHref: `${base}/users`,
      removeHref: user ? `${href}/remove` : null,
      removeFactorHref: hasFactor ? `${href}/second-factor/remove` : null,
      roles: rolesToChoose.map(
        (role): Choice => ({ value: role, label: roleWords[role], selected: role === (user?.role ?? 'viewer') }),
      ),
      projects: user?.scope?.join(', ') ?? '',
      locked: user?.locked ?? false,
    },
  };
}

/** The keys of programs; `made` is the one that was just made, whose text is told now and never again. */
export function tokenListModel(tokens: readonly Token[], context: ViewContext, made?: { token: Token; text: string }) {
  const { base, now } = context;
  return {
    ...toShared(context),
    action: `${base}/tokens`,
    made: made ? { name: made.token.name, text: made.text } : null,
    capabilities: capabilityWords.map(([value, label]) => ({ value, label, checked: value === 'read' })),
    tokens: tokens.map(({ id, name, capabilities, scope, owner, createdAt, expiresAt, usedAt }) => ({
      name,
      owner,
      capabilities: capabilities.join(', '),
      scope: scopeText(scope),
      created: toTime(createdAt, now),
      ends:
        expiresAt === null
          ? null
          : { iso: new Date(expiresAt).toISOString(), text: dateTime(expiresAt), isOver: expiresAt <= now },
      used: usedAt === null ? null : toTime(usedAt, now),
      removeHref: `${base}/tokens/${id}/remove`,
    })),
  };
}

type AuditFilter = { actor: string; target: string; result: '' | AuditResult; limit: number };

const resultWords: Record<AuditResult, string> = { done: 'done', refused: 'refused', failed: 'failed' };

/** What was done here and what was refused; one entry more than the limit says that there are older ones. */
export function auditListModel(found: readonly AuditEntry[], filter: AuditFilter, context: ViewContext) {
  const { base, now } = context;
  const shown = found.slice(0, filter.limit);
  const { actor, target, result } = filter;
  const last = shown.at(-1);
  const href = (before?: number) =>
    toHref(`${base}/audit`, { actor, target, result, before: before === undefined ? null : String(before) });
  return {
    ...toShared(context),
    audit: {
      action: `${base}/audit`,
      actor,
      target,
      results: [
        { value: '', label: 'Every result', selected: result === '' },
        ...Object.entries(resultWords).map(([value, label]): Choice => ({ value, label, selected: value === result })),
      ],
      isFiltered: actor !== '' || target !== '' || result !== '',
      clearHref: `${base}/audit`,
      olderHref: found.length > shown.length && last ? href(last.id) : null,
      rows: shown.map(({ at, ...entry }) => ({ ...entry, at: toTime(at, now) })),
    },
  };
}

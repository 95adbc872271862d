import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import type { App, Deps } from '../deps.ts';
import { isProblem, Problem } from '../errors.ts';
import { createTickets } from '../services/tickets.ts';
import { checkKeptHere, type User } from '../services/users.ts';
import { proposalModel, recoveryModel } from '../views/models/second-factor.ts';
import * as schemas from './access-schemas.ts';
import { ownUser } from './account.ts';
import { noteFor } from './audit.ts';
import type { Entrance } from './entrance.ts';
import { sendLogin, sendSecond } from './login-pages.ts';
import { ownPath } from './own-path.ts';
import { sendPage, viewContext } from './pages.ts';
import { relyingPartyOf } from './relying-party.ts';

const proposalMs = 600_000;
const mostProposals = 1_000;
/** With so few recovery codes left somebody is told. */
const fewCodes = 3;

/** The second step of signing in, and one's own app and recovery codes. */
export function registerSecondFactor(app: App, deps: Deps, entrance: Entrance): void {
  const { config, sessions, secondFactors, passkeys, codeLimit } = deps;
  const base = config.basePath;
  const proposals = createTickets<{ user: number; secret: string; uri: string }>({
    lifeMs: proposalMs,
    most: mostProposals,
  });

  // ── signing in ──

  app.get('/login/second', { schema: { querystring: schemas.LoginQuery } }, (request, reply) => {
    const to = ownPath(request.query.to);
    if (!entrance.waiting(request)) return reply.redirect(`${base}/login?${new URLSearchParams({ to })}`, 303);
    return sendSecond(request, reply, deps, { to });
  });

  app.post('/login/second', { schema: { body: schemas.SecondBody } }, async (request, reply) => {
    const to = ownPath(request.body.to);
    const user = entrance.waiting(request);
    if (!user) return reply.redirect(`${base}/login?${new URLSearchParams({ to })}`, 303);
    try {
      await takeCode(request, user, request.body.code);
    } catch (error) {
      if (!isProblem(error)) throw error;
      return sendSecond(request, reply, deps, { to, fault: error });
    }
    await entrance.enter(request, reply, user);
    await warnOfFew(reply, user);
    return reply.redirect(base + to, 303);
  });

  /**
   * Takes a code of the app, or a recovery code.
   * @throws Problem `unauthenticated` in the same words whatever is wrong, or `rate_limited`
   */
  async function takeCode(request: FastifyRequest, user: User, code: string): Promise<void> {
    noteFor(request, user.name);
    const client = entrance.codeClientOf(request, user);
    await codeLimit.take(user.id, client);
    const kind = await secondFactors.take(user, code);
    if (!kind) throw new Problem('unauthenticated', 'Wrong code, or one that was used already.');
    if (kind === 'recovery') noteFor(request, `${user.name}, by a recovery code`);
    await codeLimit.succeed(user.id, client);
  }

  async function warnOfFew(reply: FastifyReply, user: User): Promise<void> {
    const { codesLeft } = await secondFactors.infoOf(user.id);
    if (codesLeft > fewCodes) return;
    const text = `${codesLeft} of your recovery codes are left: make new ones in your account.`;
    deps.messages.leave(reply, [{ kind: 'status', text }]);
  }

  // ── one's own ──

  /** @throws Problem `conflict` for who signs in elsewhere */
  function ownUserHere(request: FastifyRequest): User {
    const user = ownUser(request, deps);
    checkKeptHere(user);
    return user;
  }

  app.post('/account/second-factor', { schema: { body: schemas.CurrentBody } }, async (request, reply) => {
    const user = ownUserHere(request);
    await entrance.check(request, user.name, request.body.current);
    if (secondFactors.hasApp(user.id)) throw new Problem('conflict', 'There is an app already: remove it first.');
    const proposal = secondFactors.propose(user);
    return sendProposal(request, reply, proposals.give({ user: user.id, ...proposal }), proposal);
  });

  app.post('/account/second-factor/confirm', { schema: { body: schemas.ConfirmBody } }, async (request, reply) => {
    const user = ownUserHere(request);
    noteFor(request, user.name);
    const { ticket, code } = request.body;
    const proposal = proposals.look(ticket);
    if (proposal?.user !== user.id) throw new Problem('invalid', 'ticket: this took too long. Begin again.');
    try {
      await secondFactors.setUp(user, proposal.secret, code);
    } catch (error) {
      if (!isProblem(error, 'invalid')) throw error;
      reply.code(error.status);
      return sendProposal(request, reply, ticket, proposal, error.message);
    }
    proposals.take(ticket);
    return finish(request, reply, user, 'From now on signing in asks for a code of your app.');
  });

  function sendProposal(
    request: FastifyRequest,
    reply: FastifyReply,
    ticket: string,
    proposal: { secret: string; uri: string },
    fault = '',
  ) {
    const model = proposalModel({ ...proposal, ticket, fault }, viewContext(request, deps));
    const body = deps.render('pages/second-factor', model);
    return sendPage(request, reply, deps, { title: 'Second factor', nav: '', topics: [] }, body);
  }

  /** Ends all other sessions, and shows the recovery codes of who has none yet. */
  async function finish(request: FastifyRequest, reply: FastifyReply, user: User, text: string) {
    await sessions.endAll(user.id, request.session.sessionId);
    entrance.know(reply, user);
    const codes = await secondFactors.firstCodes(user.id);
    if (codes.length > 0) return sendCodes(request, reply, codes, text);
    return goBack(reply, text);
  }

  function sendCodes(request: FastifyRequest, reply: FastifyReply, codes: readonly string[], text: string) {
    const body = deps.render('pages/recovery-codes', recoveryModel(codes, viewContext(request, deps)));
    const head = { title: 'Recovery codes', nav: '' as const, topics: [] };
    return sendPage(request, reply, deps, head, body, [{ kind: 'status', text }]);
  }

  function goBack(reply: FastifyReply, text: string) {
    deps.messages.leave(reply, [{ kind: 'status', text }]);
    return reply.redirect(`${base}/account`, 303);
  }

  app.post('/account/second-factor/remove', { schema: { body: schemas.RemoveFactorBody } }, async (request, reply) => {
    const user = ownUserHere(request);
    await entrance.check(request, user.name, request.body.current);
    await takeCode(request, user, request.body.code);
    await secondFactors.removeApp(user.id);
    await dropUnneeded(user);
    await sessions.endAll(user.id, request.session.sessionId);
    return goBack(reply, 'The app was removed; all other sessions have ended.');
  });

  /** Recovery codes are for who has something else to sign in with. */
  async function dropUnneeded(user: User): Promise<void> {
    if (!entrance.needsMore(user)) await secondFactors.removeCodes(user.id);
  }

  app.post('/account/recovery-codes', { schema: { body: schemas.NewCodesBody } }, async (request, reply) => {
    const user = ownUserHere(request);
    if (!entrance.needsMore(user)) throw new Problem('conflict', 'Set up an app or a passkey first.');
    await entrance.check(request, user.name, request.body.current);
    // Else they would be a way around the code that removing the app asks for.
    if (secondFactors.hasApp(user.id)) await takeCode(request, user, request.body.code);
    return sendCodes(request, reply, await secondFactors.renewCodes(user.id), 'The old recovery codes are void.');
  });

  // ── passkeys ──

  const tags = ['access'];

  app.get(
    '/api/login/passkey/options',
    {
      schema: { tags, summary: 'What a browser asks an authenticator for', response: { 200: schemas.PasskeyOptions } },
    },
    async (request) => passkeys.beginToSignIn(partyOf(request)),
  );

  app.post('/login/passkey', { schema: { body: schemas.PasskeySignInBody } }, async (request, reply) => {
    const to = ownPath(request.body.to);
    try {
      await entrance.enter(request, reply, await userOf(request, request.body));
    } catch (error) {
      if (!isProblem(error, 'unauthenticated')) throw error;
      return sendLogin(request, reply, deps, { to, fault: error });
    }
    return reply.redirect(base + to, 303);
  });

  /** @throws Problem `unauthenticated`, also for who is locked */
  async function userOf(request: FastifyRequest, { ticket, response }: Static<typeof schemas.PasskeySignInBody>) {
    const user = deps.users.find(await passkeys.signIn(partyOf(request), { ticket, response: toResponse(response) }));
    noteFor(request, user?.name ?? '');
    if (user && !user.locked) return user;
    throw new Problem('unauthenticated', 'This passkey is not known here.');
  }

  app.post(
    '/api/account/passkeys/options',
    {
      schema: {
        tags,
        summary: 'What a browser asks an authenticator for to make a passkey',
        body: schemas.CurrentBody,
        response: { 200: schemas.PasskeyOptions },
      },
    },
    async (request) => {
      const user = ownUserHere(request);
      await entrance.check(request, user.name, request.body.current);
      return passkeys.beginToAdd(user, partyOf(request));
    },
  );

  app.post('/account/passkeys', { schema: { body: schemas.NewPasskeyBody } }, async (request, reply) => {
    const user = ownUserHere(request);
    noteFor(request, user.name);
    const { ticket, response, name } = request.body;
    await passkeys.add(user, partyOf(request), { ticket, response: toResponse(response), name });
    return finish(request, reply, user, 'The passkey was added. With it you sign in without a password.');
  });

  const removal = { params: schemas.AccessParams, body: schemas.CurrentBody };

  app.post('/account/passkeys/:n/remove', { schema: removal }, async (request, reply) => {
    const user = ownUserHere(request);
    await entrance.check(request, user.name, request.body.current);
    await passkeys.remove(user.id, Number((request.params as Static<typeof schemas.AccessParams>).n));
    await dropUnneeded(user);
    await sessions.endAll(user.id, request.session.sessionId);
    return goBack(reply, 'The passkey was removed; all other sessions have ended.');
  });

  /** @throws Problem `disabled` where browsers allow no passkeys */
  function partyOf(request: FastifyRequest) {
    const party = relyingPartyOf(request, config);
    if (party) return party;
    throw new Problem('disabled', 'Passkeys need a host name and TLS, or localhost: browsers allow them nowhere else.');
  }
}

/** @throws Problem `invalid` */
function toResponse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Problem('invalid', 'response: must be JSON, as the browser gives it.');
  }
}

import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { App, Deps } from '../deps.ts';
import { alertsFrame, alertsModel } from '../feeds/alerts.ts';
import { type ChannelInput, maxSentLines } from '../services/alert-channels.ts';
import { defaultCooldownSeconds, type RuleInput, ruleDefaults } from '../services/alert-rules.ts';
import { countFiring, type Notification } from '../services/alert-types.ts';
import { channelFormModel, ruleFormModel } from '../views/models/alerts.ts';
import type { Message } from '../views/models/context.ts';
import { toChannelJson, toFiringJson, toNotificationJson, toRuleJson } from './alert-json.ts';
import * as schemas from './alert-schemas.ts';
import { answerFrame, failureFrame, isHtmx, sendFragment, sendPage, viewContext } from './pages.ts';
import { isTicked } from './schemas.ts';

type RuleBody = Static<typeof schemas.RuleBody> | Static<typeof schemas.RuleChange>;
type ChannelBody = Static<typeof schemas.ChannelBody> | Static<typeof schemas.ChannelChange>;
type RuleAction = Static<typeof schemas.RuleActionParams>;
type ChannelAction = Static<typeof schemas.ChannelActionParams>;

const numberOf = ({ n }: { n: string }) => Number(n);

const toRuleInput = ({ tellResolved, regex, matchCase, ...body }: RuleBody): RuleInput => ({
  ...body,
  tellResolved: isTicked(tellResolved),
  regex: isTicked(regex),
  matchCase: isTicked(matchCase),
});

/** What is left out of a form or of JSON leaves the rule on, or as it was. */
const enabledOf = ({ enabled }: RuleBody) => (enabled === undefined ? undefined : isTicked(enabled));

const toChannelInput = ({ clearToken, ...body }: ChannelBody): ChannelInput => ({
  ...body,
  clearToken: isTicked(clearToken),
});

/** Alerts: what is watched, where it is told, what fires, and what was told. */
export function registerAlerts(app: App, deps: Deps): void {
  const { alerts, config } = deps;
  const tags = ['alerts'];

  // ── the page ──

  app.get('/alerts', async (request, reply) => {
    const body = deps.render('pages/alerts', await alertsModel(deps, viewContext(request, deps)));
    return sendPage(request, reply, deps, { title: 'Alerts', nav: 'alerts', topics: ['alerts'] }, body);
  });

  app.get('/fragments/alerts', async (request, reply) =>
    sendFragment(reply, deps.render('fragments/alerts/board', await alertsModel(deps, viewContext(request, deps)))),
  );

  const overview = { tags, summary: 'Rules, channels, and what fires', response: { 200: schemas.Alerts } };

  app.get('/api/alerts', { schema: overview }, () => {
    const firing = alerts.firing();
    const counts = countFiring(firing);
    return {
      rules: alerts.rules().map((rule) => toRuleJson(rule, counts.get(rule.id))),
      channels: alerts.channels().map(toChannelJson),
      firing: firing.map(toFiringJson),
      available: { email: alerts.hasMail, figures: alerts.hasFigures },
    };
  });

  app.get(
    '/api/alerts/notifications',
    {
      schema: {
        tags,
        summary: 'What was told or is still to be, the newest first; `before` continues behind an id',
        querystring: schemas.NotificationQuery,
        response: { 200: Type.Array(schemas.AlertNotification) },
      },
    },
    async ({ query }) => (await alerts.notifications(query)).map(toNotificationJson),
  );

  // ── rules ──

  app.get('/alerts/rules/new', { schema: { querystring: schemas.NewRuleQuery } }, (request, reply) => {
    const watch = ruleDefaults[request.query.kind];
    const scope = { project: '', containers: [] };
    const channels = alerts.channels().map(({ id }) => id);
    const settings = {
      name: '',
      watch,
      scope,
      channels,
      cooldownSeconds: defaultCooldownSeconds,
      tellsResolved: false,
    };
    return sendRuleForm(request, reply, { ...settings, id: null });
  });

  app.get('/alerts/rules/:n', { schema: { params: schemas.AlertParams } }, (request, reply) =>
    sendRuleForm(request, reply, alerts.rule(numberOf(request.params))),
  );

  function sendRuleForm(request: FastifyRequest, reply: FastifyReply, rule: Parameters<typeof ruleFormModel>[0]) {
    const projects = new Set(deps.inventory.containers().flatMap(({ project }) => project ?? []));
    const found = { channels: alerts.channels(), projects: [...projects].sort() };
    const model = ruleFormModel(rule, found, viewContext(request, deps));
    const head = { title: model.rule.title, nav: 'alerts', topics: [] } as const;
    return sendPage(request, reply, deps, head, deps.render('pages/alert-rule', model));
  }

  const ruleBody = { body: schemas.RuleBody };
  const ruleChange = { params: schemas.AlertParams, body: schemas.RuleChange };
  const addRule = (body: RuleBody) => alerts.addRule(toRuleInput(body), enabledOf(body));
  const changeRule = (n: { n: string }, body: RuleBody) =>
    alerts.changeRule(numberOf(n), toRuleInput(body), enabledOf(body));

  app.post('/alerts/rules', { schema: ruleBody }, async (request, reply) =>
    goBack(request, reply, `Rule ${(await addRule(request.body)).name} was added.`),
  );

  app.post('/alerts/rules/:n', { schema: ruleChange }, async (request, reply) =>
    goBack(request, reply, `Rule ${(await changeRule(request.params, request.body)).name} was saved.`),
  );

  app.post(
    '/api/alerts/rules',
    { schema: { tags, summary: 'Add a rule', ...ruleBody, response: { 200: schemas.AlertRule } } },
    async ({ body }) => toRuleJson(await addRule(body)),
  );

  app.post(
    '/api/alerts/rules/:n',
    {
      schema: {
        tags,
        summary: 'Change a rule: what is left out has its default; its kind stays',
        ...ruleChange,
        response: { 200: schemas.AlertRule },
      },
    },
    async ({ params, body }) => toRuleJson(await changeRule(params, body)),
  );

  app.post('/alerts/rules/:n/:action', { schema: { params: schemas.RuleActionParams } }, async (request, reply) => {
    const { action } = request.params;
    const id = numberOf(request.params);
    if (action === 'test') return tellTests(request, reply, await alerts.testRule(id));
    if (action === 'remove') return goBack(request, reply, `Rule ${(await alerts.removeRule(id)).name} was removed.`);
    const rule = await alerts.switchRule(id, action === 'on');
    return tell(request, reply, { kind: 'status', text: `Rule ${rule.name} was switched ${action}.` });
  });

  app.post(
    '/api/alerts/rules/:n/:action',
    {
      schema: {
        tags,
        summary: 'Switch a rule `on` or `off`, `test` it by a sample to each of its channels, `remove` it',
        params: schemas.RuleActionParams,
        response: {
          200: Type.Union([schemas.AlertRule, Type.Array(schemas.AlertNotification), schemas.RemovedAlert]),
        },
      },
    },
    async ({ params }) => actOnRule(params),
  );

  async function actOnRule({ n, action }: RuleAction) {
    const id = Number(n);
    if (action === 'test') return (await alerts.testRule(id)).map(toNotificationJson);
    if (action !== 'remove') return switchRule(id, action === 'on');
    await alerts.removeRule(id);
    return { id, removed: true as const };
  }

  async function switchRule(id: number, isOn: boolean) {
    const rule = await alerts.switchRule(id, isOn);
    return toRuleJson(rule, countFiring(alerts.firing()).get(id));
  }

  // ── channels ──

  app.get('/alerts/channels/new', { schema: { querystring: schemas.NewChannelQuery } }, (request, reply) => {
    const model = channelFormModel(request.query.kind, null, maxSentLines, viewContext(request, deps));
    return sendChannelForm(request, reply, model);
  });

  app.get('/alerts/channels/:n', { schema: { params: schemas.AlertParams } }, (request, reply) => {
    const channel = alerts.channel(numberOf(request.params));
    const model = channelFormModel(channel.kind, channel, maxSentLines, viewContext(request, deps));
    return sendChannelForm(request, reply, model);
  });

  function sendChannelForm(request: FastifyRequest, reply: FastifyReply, model: ReturnType<typeof channelFormModel>) {
    const head = { title: model.channel.title, nav: 'alerts', topics: [] } as const;
    return sendPage(request, reply, deps, head, deps.render('pages/alert-channel', model));
  }

  const channelBody = { body: schemas.ChannelBody };
  const channelChange = { params: schemas.AlertParams, body: schemas.ChannelChange };
  const addChannel = (body: ChannelBody) => alerts.addChannel(toChannelInput(body));
  const changeChannel = (n: { n: string }, body: ChannelBody) =>
    alerts.changeChannel(numberOf(n), toChannelInput(body));

  app.post('/alerts/channels', { schema: channelBody }, async (request, reply) =>
    goBack(request, reply, `Channel ${(await addChannel(request.body)).name} was added.`),
  );

  app.post('/alerts/channels/:n', { schema: channelChange }, async (request, reply) =>
    goBack(request, reply, `Channel ${(await changeChannel(request.params, request.body)).name} was saved.`),
  );

  app.post(
    '/api/alerts/channels',
    { schema: { tags, summary: 'Add a channel', ...channelBody, response: { 200: schemas.AlertChannel } } },
    async ({ body }) => toChannelJson(await addChannel(body)),
  );

  app.post(
    '/api/alerts/channels/:n',
    {
      schema: {
        tags,
        summary: 'Change a channel: secrets that are left out stay; its kind stays',
        ...channelChange,
        response: { 200: schemas.AlertChannel },
      },
    },
    async ({ params, body }) => toChannelJson(await changeChannel(params, body)),
  );

  const channelAction = { params: schemas.ChannelActionParams };

  app.post('/alerts/channels/:n/:action', { schema: channelAction }, async (request, reply) => {
    const id = numberOf(request.params);
    if (request.params.action === 'test') return tellTests(request, reply, [await alerts.testChannel(id)]);
    return goBack(request, reply, `Channel ${(await alerts.removeChannel(id)).name} was removed.`);
  });

  app.post(
    '/api/alerts/channels/:n/:action',
    {
      schema: {
        tags,
        summary: '`test` a channel, or `remove` it',
        ...channelAction,
        response: { 200: Type.Union([schemas.AlertNotification, schemas.RemovedAlert]) },
      },
    },
    async ({ params }) => actOnChannel(params),
  );

  async function actOnChannel({ n, action }: ChannelAction) {
    const id = Number(n);
    if (action === 'test') return toNotificationJson(await alerts.testChannel(id));
    await alerts.removeChannel(id);
    return { id, removed: true as const };
  }

  // ── answers ──

  const path = `${config.basePath}/alerts`;

  /** To the page of alerts, which tells what was done. */
  function goBack(request: FastifyRequest, reply: FastifyReply, text: string) {
    deps.messages.leave(reply, [{ kind: 'status', text }]);
    if (!isHtmx(request)) return reply.redirect(path, 303);
    return reply.header('hx-redirect', path).send('');
  }

  /** On the page of alerts, where it was done. */
  async function tell(request: FastifyRequest, reply: FastifyReply, message: Message) {
    if (!isHtmx(request)) {
      deps.messages.leave(reply, [message]);
      return reply.redirect(path, 303);
    }
    const answer =
      message.kind === 'status' ? answerFrame(deps, message.text) : failureFrame(deps, message, request.id);
    return sendFragment(reply, answer + (await alertsFrame(deps, viewContext(request, deps))));
  }

  function tellTests(request: FastifyRequest, reply: FastifyReply, tests: Notification[]) {
    const isFine = tests.every(({ state }) => state === 'sent');
    const text = tests.map((test) => `${test.channelName}: ${test.result || 'on its way.'}`).join(' ');
    return tell(request, reply, { kind: isFine ? 'status' : 'error', text: `Test of ${text}` });
  }
}

import type { Scope } from './capabilities.ts';
import { type Death, type EventDetails, type EventQuery, type KeptEvent, timelineOf } from './event-types.ts';
import { type History, maxMarks, type TimelinePage, toMarks } from './history.ts';
import type { Inventory } from './inventory.ts';
import { sees } from './scope.ts';

/** So many events are looked at at a time for those that may be told. */
const sliceSizes = { least: 50, most: 500 };

type Query = Omit<EventQuery, 'container'>;

/**
 * The history as somebody may see it: the timelines of containers whose name or project they see, event by event, since
 * a name may have been another's before. `inventory` is the one that they see. It holds nothing that would have to be
 * closed.
 */
export function scopeHistory(
  history: History,
  inventory: Pick<Inventory, 'container' | 'findContainer'>,
  scope: Scope,
  actor: string,
): History {
  const isOwn = ({ details }: KeptEvent) => details.actor === actor;
  const isThere = (name: string) => inventory.findContainer(name)?.name === name;

  function isTold(event: KeptEvent): boolean {
    const { type, timeline, subject, details } = event;
    if (timeline === '') return false;
    if (sees(scope, { name: timeline, project: details.project })) return true;
    // Of work no project is kept.
    if (type === 'operation') return isOwn(event) && isThere(timeline);
    return inventory.container(details.container?.id ?? subject) !== undefined;
  }

  /** An event without what it says of others: a container that had the name before, work that somebody else asked for. */
  function toTold(event: KeptEvent): KeptEvent {
    const { imageBefore, message, operation, ...details } = event.details;
    const { project } = details;
    const isOurs = isOwn(event);
    const told: EventDetails = {
      ...details,
      ...(imageBefore && sees(scope, { name: event.timeline }) && { imageBefore }),
      ...(message !== undefined && (isOurs || event.type === 'alert') && { message }),
      ...(operation !== undefined && isOurs && { operation }),
    };
    return { ...event, details: told, former: sees(scope, { name: event.former, project }) ? event.former : '' };
  }

  /** Of what `ask` tells, slice by slice, the newest that may be told and are wanted. */
  async function collect(
    ask: (query: Query) => Promise<TimelinePage>,
    query: Query,
    isWanted: (event: KeptEvent) => boolean,
  ): Promise<TimelinePage> {
    const events: KeptEvent[] = [];
    const deaths = new Map<string, Death>();
    const size = Math.min(Math.max(query.limit, sliceSizes.least), sliceSizes.most);
    for (let before = query.before; ; ) {
      const slice = await ask({ ...query, before, limit: size });
      events.push(...slice.events.filter(isTold).map(toTold).filter(isWanted));
      for (const [key, death] of slice.deaths) deaths.set(key, death);
      before = slice.events.at(-1);
      if (events.length >= query.limit || slice.events.length < size) break;
    }
    const told = events.slice(0, query.limit);
    const keys = new Set(told.map(({ subject, at }) => `${subject}@${at}`));
    return { events: told, deaths: new Map([...deaths].filter(([key]) => keys.has(key))) };
  }

  const timeline = (name: string, query: Query) =>
    collect(
      (slice) => history.timeline(name, slice),
      query,
      (event) => [event.timeline, event.former, event.subject].includes(name),
    );

  /** The newest event of a container that is meant by its id. */
  const ofId = (ref: string) =>
    collect(
      async (slice) => ({ events: await history.list({ ...slice, container: ref }), deaths: new Map() }),
      { limit: 1 },
      ({ subject }) => subject.startsWith(ref),
    );

  async function nameOf(ref: string): Promise<string | undefined> {
    const name = await history.nameOf(ref);
    if (name === undefined) return undefined;
    if (name !== timelineOf(ref)) return (await ofId(ref)).events[0]?.timeline;
    return (await timeline(name, { limit: 1 })).events.length > 0 ? name : undefined;
  }

  return {
    ...history,
    timeline,
    nameOf,
    async marks(ref, from, to) {
      const name = (await nameOf(ref)) ?? ref;
      const until = Math.floor(to * 1_000) + 1_000;
      const { events } = await timeline(name, { since: Math.floor(from * 1_000), until, limit: maxMarks });
      return events.reverse().flatMap(toMarks);
    },
    // What is of more than one container is asked for by nobody who sees some only.
    list: async () => [],
    marksOf: async () => [],
    onEvent: () => () => {},
  };
}

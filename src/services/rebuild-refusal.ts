import type { ErrorCode } from '../errors.ts';
import type { EngineAddress } from './docker.ts';
import type { OwnContainer } from './own-container.ts';
import { type Document, documentOf, textsOf } from './own-settings.ts';
import { text } from './readers.ts';
import { tagOf } from './rebuild-plan.ts';
import {
  configOf,
  hostOf,
  idOf,
  isRunning,
  nameOf,
  needs,
  type Survey,
  type Surveyed,
  stateOf,
} from './rebuild-survey.ts';
import { joinedId } from './recreation.ts';
import { maxStopSeconds, stopSecondsOf } from './stop-timeout.ts';

/** What a rebuild may not do, as this program was set up. */
export type RebuildRules = {
  /** The container that this program runs in; null where it runs in none. */
  own: OwnContainer | null;
  /** Where the engine is reached: whatever stands in between can't be rebuilt through itself. */
  engine: EngineAddress;
  allowsPrivileged: boolean;
};

/** Why a rebuild is refused; some that can't be pulled can still be made anew on the image they have. */
export type Refusal = { code: ErrorCode; reason: string; offersSameImage: boolean };

/** The refusal where somebody would remake containers that they may not see. */
export const hiddenRefusal: Refusal = {
  code: 'forbidden',
  reason: 'Containers that you may not see hang on it and would be made anew with it: ask somebody who sees them.',
  offersSameImage: false,
};

const swarmLabel = 'com.docker.swarm.task.id';
const serviceLabel = 'com.docker.compose.service';

/** Why this container can't be rebuilt; null where it can. */
export function refusalOf(survey: Survey, rules: RebuildRules, pulls: boolean): Refusal | null {
  return ownRefusal(survey, rules) ?? followingRefusal(survey, rules) ?? (pulls ? tagRefusal(survey) : null);
}

/** Why one of those that need it can't be made anew after it. */
function followingRefusal(survey: Survey, rules: RebuildRules): Refusal | null {
  const members = [survey, ...survey.dependants];
  for (const dependant of survey.dependants) {
    const theirs = ownRefusal(dependant, rules);
    if (theirs) return { ...theirs, reason: `${nameOf(dependant)} needs it and can't follow. ${theirs.reason}` };
    const needed = isRunning(dependant) && members.find((other) => needs(dependant, other) && !isRunning(other));
    if (needed) return refuse('conflict', orphanText(nameOf(dependant), nameOf(needed)));
  }
  return null;
}

const orphanText = (name: string, needed: string) =>
  `${name} runs on what ${needed} left behind when it ended, and could not be started again: start ${needed} or stop ` +
  `${name} first.`;

function tagRefusal(survey: Survey): Refusal | null {
  if (tagOf(survey)) return null;
  const image = text(configOf(survey).Image) ?? '';
  const why = image.includes('@') ? 'It is pinned to a digest, which never changes' : 'Its image has no tag to pull';
  return refuse('conflict', `${why}. It can be made anew on the image it has.`, true);
}

function ownRefusal(surveyed: Surveyed, { own, engine, allowsPrivileged }: RebuildRules): Refusal | null {
  const name = nameOf(surveyed);
  if (own && isOwn(surveyed, own)) return refuse('conflict', `${name} is Fairlead itself: it would end in the middle.`);
  if (leadsTo(surveyed, engine)) {
    return refuse('conflict', `Fairlead reaches the engine through ${name}: it would be cut off in the middle.`);
  }
  if (text(documentOf(configOf(surveyed).Labels)[swarmLabel])) {
    return refuse('conflict', `${name} is a task of a Swarm service: the swarm would replace it. Update the service.`);
  }
  if (hostOf(surveyed).Privileged && !allowsPrivileged) {
    return refuse('disabled', `${name} is privileged: it is rebuilt only where ENABLE names "privileged".`);
  }
  if (stateOf(surveyed) === 'removing') return refuse('conflict', `${name} is being removed.`);
  if (stateOf(surveyed) === 'dead') return refuse('conflict', `${name} is dead: the engine failed to remove it.`);
  const stopSeconds = stopSecondsOf(surveyed.container);
  if (isRunning(surveyed) && (stopSeconds < 0 || stopSeconds > maxStopSeconds)) {
    const time = stopSeconds < 0 ? 'for ever' : `${stopSeconds} s`;
    return refuse('conflict', `${name} may take ${time} to stop, by its stop timeout: stop it first.`);
  }
  return null;
}

/** Where it is not certain, whoever shares that container's network may be this program as well. */
function isOwn(surveyed: Surveyed, { id, isCertain }: OwnContainer): boolean {
  return idOf(surveyed) === id || (!isCertain && joinedId(text(hostOf(surveyed).NetworkMode)) === id);
}

/** Whether the engine's address may be this container's: by a name or an address of it, or by a port that it publishes. */
function leadsTo(surveyed: Surveyed, engine: EngineAddress): boolean {
  if (engine.kind !== 'tcp') return false;
  const { NetworkSettings: settings } = surveyed.container;
  const endpoints = Object.values(documentOf(documentOf(settings).Networks)).map(documentOf);
  const names = [
    nameOf(surveyed),
    text(documentOf(configOf(surveyed).Labels)[serviceLabel]),
    ...endpoints.flatMap(namesIn),
  ];
  if (names.includes(engine.host)) return true;
  const published = Object.values(documentOf(documentOf(settings).Ports))
    .flat()
    .map(documentOf);
  return isNear(engine.host) && published.some(({ HostPort: port }) => port === String(engine.port));
}

function namesIn({ Aliases, DNSNames, IPAddress, GlobalIPv6Address }: Document): string[] {
  return [...textsOf(Aliases), ...textsOf(DNSNames), text(IPAddress) ?? '', text(GlobalIPv6Address) ?? ''];
}

const isNear = (host: string) => /^(localhost|127\.[\d.]+|::1|\[::1\]|host\.docker\.internal)$/.test(host);

const refuse = (code: ErrorCode, reason: string, offersSameImage = false): Refusal => ({
  code,
  reason,
  offersSameImage,
});

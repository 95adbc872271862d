import type { EmbedView } from '../../services/embed-views.ts';
import type { Embed } from '../../services/embeds.ts';
import { dateTime, duration } from '../format.ts';
import { toShared, type ViewContext } from './context.ts';

/** A link that was just made: its address is told now and never again. */
export type MadeEmbed = { embed: Embed; view: string; url: string; link: string };

/** What the page of embed links is made of; `view` is what the form begins with. */
export type EmbedListInput = {
  rows: readonly { embed: Embed; view: string }[];
  names: readonly string[];
  view: string;
  made: MadeEmbed | undefined;
};

/** The kinds in the order of the form, by how their views begin. */
const kinds = [
  ['container:', 'A container: state and figures'],
  ['stats:', 'A container: charts'],
  ['logs:', 'A container: newest log lines'],
  ['badge:', 'A container: badge'],
  ['project:', 'A project: table of its containers'],
  ['logs:project:', 'A project: newest log lines'],
  ['badge:project:', 'A project: badge'],
] as const;
const maxNames = 500;

/** All embed links, the form for a new one, and how to use the one that was just made. */
export function embedListModel({ rows, names, view, made }: EmbedListInput, context: ViewContext) {
  const { base, now } = context;
  // The longest beginning is meant: `logs:project:` begins with `logs:`.
  const wanted = kinds.filter(([kind]) => view.startsWith(kind)).sort((a, b) => b[0].length - a[0].length)[0]?.[0];
  return {
    ...toShared(context),
    action: `${base}/embeds`,
    made: made ? madeModel(made, base) : null,
    kinds: kinds.map(([value, label]) => ({ value, label, selected: value === wanted })),
    name: wanted && !made ? view.slice(wanted.length) : '',
    names: names.slice(0, maxNames),
    embeds: rows.map(({ embed: { id, origins, owner, createdAt, expiresAt, usedAt }, view }) => ({
      view,
      owner,
      origins: origins.length > 0 ? origins.join(', ') : 'servers only',
      created: toTime(createdAt, now),
      ends:
        expiresAt === null
          ? null
          : { iso: new Date(expiresAt).toISOString(), text: dateTime(expiresAt), isOver: expiresAt <= now },
      used: usedAt === null ? null : toTime(usedAt, now),
      removeHref: `${base}/embeds/${id}/remove`,
    })),
  };
}

const toTime = (moment: number, now: number) => ({
  iso: new Date(moment).toISOString(),
  text: `${duration(Math.max(0, now - moment))} ago`,
  title: dateTime(moment),
});

const heights: Record<EmbedView['look'], number> = { tile: 160, charts: 760, log: 340, table: 320, badge: 60 };

function madeModel({ embed, view, url, link }: MadeEmbed, base: string) {
  const { look, name } = embed.view;
  const isShown = embed.origins.length > 0;
  const height = heights[look];
  const sheet = url.replace(/\/embed\/[^/]*$/, '/embed.css');
  const quoted = name.replace(/[&"<>]/g, (letter) => `&#${letter.charCodeAt(0)};`);
  const pages = [
    [
      'In a frame',
      `<iframe src="${url}" title="${quoted}" width="100%" height="${height}" style="border:0" loading="lazy"></iframe>`,
    ],
    ['By htmx, every 10 seconds', `<div hx-get="${url}/fragment" hx-trigger="load, every 10s"></div>`],
    ['The style sheet for it', `<link rel="stylesheet" href="${sheet}">`],
  ];
  const badge = [['As an image', `<img src="${url}/badge.svg" alt="State of ${quoted}">`]];
  const server = [['From a server, such as nginx', `proxy_pass ${url}/fragment;`]];
  const all = [...(isShown ? pages : []), ...(look === 'badge' && isShown ? badge : []), ...server];
  return {
    view,
    url,
    snippets: all.map(([label, text]) => ({ label, text })),
    preview: isShown ? { src: `${base}/embed/${link}`, height, title: `Preview of ${view}` } : null,
  };
}

/** An element or a text of a page; `tag` is empty for a text. */
export type Element = {
  tag: string;
  attributes: Record<string, string>;
  children: Element[];
  parent: Element | null;
  text: string;
};

const voidTags = new Set(['area', 'base', 'br', 'col', 'hr', 'img', 'input', 'link', 'meta']);
const token = /<!--[\s\S]*?-->|<!doctype[^>]*>|<\/([a-z][\w-]*)\s*>|<([a-z][\w-]*)((?:"[^"]*"|'[^']*'|[^>"'])*)>/giy;
const attribute = /([^\s=/"'>]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g;

function create(tag: string, text = ''): Element {
  return { tag, attributes: {}, children: [], parent: null, text };
}

/**
 * Reads HTML as the product writes it: well-formed, every element closed.
 * @throws Error where an element is closed that is not open, or is left open: a page would then show something else
 */
export function parseHtml(html: string): Element {
  const root = create('#root');
  let current = root;
  const append = (node: Element) => {
    node.parent = current;
    current.children.push(node);
  };
  for (let at = 0; at < html.length; ) {
    token.lastIndex = at;
    const match = token.exec(html);
    if (!match) {
      const next = html.indexOf('<', at + 1);
      const text = html.slice(at, next < 0 ? html.length : next);
      if (text.trim() !== '') append(create('', text));
      at += text.length;
      continue;
    }
    at = token.lastIndex;
    const [whole, closing, opening, rest = ''] = match;
    if (closing) {
      if (current.tag !== closing.toLowerCase()) throw new Error(`</${closing}> closes <${current.tag}>`);
      current = current.parent ?? root;
    } else if (opening) {
      const node = create(opening.toLowerCase());
      for (const [, name = '', double, single, bare] of rest.matchAll(attribute))
        node.attributes[name] = decode(double ?? single ?? bare ?? '');
      append(node);
      const isEmpty = whole.endsWith('/>') || voidTags.has(node.tag);
      if (!isEmpty) current = node;
      if (node.tag === 'script' || node.tag === 'style') {
        const end = html.indexOf(`</${node.tag}`, at);
        at = end < 0 ? html.length : end;
      }
    }
  }
  if (current !== root) throw new Error(`<${current.tag}> is never closed`);
  return root;
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", nbsp: '\u00a0' };
export const decode = (text: string) => text.replace(/&(#?\w+);/g, (whole, name: string) => entities[name] ?? whole);

/** Every element below, in the order of the page. */
export function* walk(node: Element): Generator<Element> {
  for (const child of node.children) {
    if (child.tag !== '') yield child;
    yield* walk(child);
  }
}

export const findAll = (node: Element, matches: (node: Element) => boolean) => [...walk(node)].filter(matches);
export const byId = (node: Element, id: string) => [...walk(node)].find((child) => child.attributes.id === id);

/** What somebody reads. */
export function textOf(node: Element): string {
  if (node.tag === '') return decode(node.text);
  return node.children.map(textOf).join('');
}

/** The markup, in one form whatever its white space was. */
export function toHtml(node: Element): string {
  if (node.tag === '') return node.text.replace(/\s+/g, ' ').trim();
  const attributes = Object.entries(node.attributes).map(([name, value]) => ` ${name}="${value}"`);
  return `<${node.tag}${attributes.join('')}>${node.children.map(toHtml).join('')}</${node.tag}>`;
}

/** The ids of the container rows that a list shows, in order, with the words of their state. */
export function rowsOf(node: Element): string[] {
  return findAll(
    node,
    ({ tag, attributes }) => tag === 'tr' && /^container-[0-9a-f]{64}$/.test(attributes.id ?? ''),
  ).map(({ attributes }) => `${attributes['data-name']} ${attributes['data-state']} ${attributes['data-project']}`);
}

/** A page that takes over frames as the browser's library does: all targets are looked up before the first swap. */
export type Page = ReturnType<typeof openPage>;

/** Opens a page that is kept true by frames. */
export function openPage(html: string) {
  const root = parseHtml(html);
  /** Targets that a frame named and the page did not have. */
  const missed: string[] = [];

  function apply(frame: string) {
    const parts = parseHtml(frame).children.filter(({ tag }) => tag !== '');
    const found = parts.map((part) => {
      if (part.tag !== 'hx-partial') throw new Error(`<${part.tag}> outside of a partial`);
      const id = part.attributes['hx-target']?.replace(/^#/, '') ?? '';
      const target = byId(root, id);
      if (!target) missed.push(id);
      return { part, target };
    });
    for (const { part, target } of found) if (target) swap(target, part.attributes['hx-swap'] ?? '', part.children);
  }

  return { root, missed, apply, rows: () => rowsOf(root), part: (id: string) => byId(root, id) };
}

function swap(target: Element, how: string, nodes: Element[]) {
  const { parent } = target;
  if (!parent) throw new Error(`#${target.attributes.id} is no longer on the page`);
  const at = parent.children.indexOf(target);
  const [only] = nodes;
  if (how === 'outerMorph' && only && nodes.length === 1 && only.tag === target.tag) return morph(target, only);
  if (how === 'outerMorph' || how === 'delete') {
    parent.children.splice(at, 1, ...adopt(parent, nodes));
    target.parent = null;
  } else if (how === 'afterend') parent.children.splice(at + 1, 0, ...adopt(parent, nodes));
  else if (how === 'beforeend') target.children.push(...adopt(target, nodes));
  else if (how === 'afterbegin') target.children.unshift(...adopt(target, nodes));
  else throw new Error(`no such swap: ${how}`);
}

function adopt(parent: Element, nodes: Element[]): Element[] {
  for (const node of nodes) node.parent = parent;
  return nodes;
}

/** Makes an element like another; it and those below that have the same id stay what they are. */
function morph(target: Element, wanted: Element) {
  const known = new Map([...walk(target)].map((node) => [node.attributes.id, node]));
  const toKept = (node: Element): Element => {
    const kept = node.attributes.id === undefined ? undefined : known.get(node.attributes.id);
    const result = kept?.tag === node.tag ? kept : node;
    result.attributes = node.attributes;
    result.children = adopt(result, node.children.map(toKept));
    return result;
  };
  target.attributes = wanted.attributes;
  target.children = adopt(target, wanted.children.map(toKept));
}

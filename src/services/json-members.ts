/** A part of a text, from its first character to behind its last one. */
export type Span = { from: number; to: number };

/** A field of a JSON object, by where its name (with quotes) and its value stand in the text. */
export type Member = { key: string; name: Span; value: Span };

const string = /"[^"\\]*(?:\\.[^"\\]*)*"/y;
const literal = /[^\s,}]+/y;
const gap = /[\s:,]*/y;
const nested = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]]/g;

/** The fields of a text that is one JSON object, in their order; those within others aside. The text must be valid. */
export function membersOf(text: string): Member[] {
  const members: Member[] = [];
  let at = text.indexOf('{') + 1;
  for (;;) {
    at = endOf(gap, text, at);
    if (text[at] !== '"') return members;
    const name = { from: at, to: endOf(string, text, at) };
    const from = endOf(gap, text, name.to);
    const value = { from, to: endOfValue(text, from) };
    if (value.to === from) return members;
    members.push({ key: String(JSON.parse(text.slice(name.from, name.to))), name, value });
    at = value.to;
  }
}

function endOfValue(text: string, from: number): number {
  if (text[from] === '"') return endOf(string, text, from);
  if (text[from] !== '{' && text[from] !== '[') return endOf(literal, text, from);
  let depth = 0;
  nested.lastIndex = from;
  for (let found = nested.exec(text); found; found = nested.exec(text)) {
    const [token] = found;
    if (token === '{' || token === '[') depth += 1;
    else if (token === '}' || token === ']') depth -= 1;
    if (depth === 0) return nested.lastIndex;
  }
  return text.length;
}

function endOf(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.test(text) ? pattern.lastIndex : from;
}

/** For each character of a JSON string (without its quotes), and for its end, the place in the text that it stands for. */
export function placesIn(escaped: string): number[] {
  const places: number[] = [];
  let shown = 0;
  for (let at = 0; at < escaped.length; shown += 1) {
    const length = escaped[at] !== '\\' ? 1 : escaped[at + 1] === 'u' ? 6 : 2;
    for (let n = 0; n < length; n += 1) places.push(shown);
    at += length;
  }
  places.push(shown);
  return places;
}

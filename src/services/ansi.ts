// anser: small, without dependencies, kept for years, and it gives data instead of HTML.
import Anser, { type AnserJsonEntry } from 'anser';

/** A part of a line and the classes it is shown with, such as `ansi-red`, `ansi-bg-blue` or `ansi-bold`. */
export type AnsiSegment = { text: string; classes: string[] };

type Rgb = readonly [number, number, number];

const names = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];
const colourNames = [...names, ...names.map((name) => `bright-${name}`)];
/** The sixteen colours as xterm shows them, to find the nearest one of the 16 million others. */
const colours: readonly Rgb[] = [
  [0, 0, 0],
  [205, 0, 0],
  [0, 205, 0],
  [205, 205, 0],
  [0, 0, 238],
  [205, 0, 205],
  [0, 205, 205],
  [229, 229, 229],
  [127, 127, 127],
  [255, 0, 0],
  [0, 255, 0],
  [255, 255, 0],
  [92, 92, 255],
  [255, 0, 255],
  [0, 255, 255],
  [255, 255, 255],
];
const cube = [0, 95, 135, 175, 215, 255];
const shownDecorations = new Set(['bold', 'dim', 'italic', 'underline', 'strikethrough']);

/** What makes a line more than plain text: controls but tab, the C1 controls, and marks of direction. */
const special = /[\0-\x08\x0A-\x1F\x7F-\x9F\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/;

/**
 * Whatever is not text, in one pass so that what is left can't form a new sequence: strings (titles, hyperlinks),
 * control sequences with their parameters and last letter, other escapes, controls, marks of direction.
 */
const tokens = new RegExp(
  [
    /(?:\x1B[\]PX^_]|[\x90\x98\x9D-\x9F])[^\x07\x1B\x9C]*(?:\x07|\x1B\\|\x9C)?/,
    /(?:\x1B\[|\x9B)([0-?]*[ -/]*)([@-~]?)/,
    /\x1B[ -/]*[0-Z\\^-~]?/,
    /[\0-\x08\x0A-\x1F\x7F-\x9F]/,
    /([\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069])/,
  ]
    .map((token) => token.source)
    .join('|'),
  'g',
);
const colourParameters = /^[\d;:]{0,100}$/;

/** More colour changes than this in one line are an attack on the browser, or a picture: the rest is plain. */
const maxChanges = 500;

/**
 * Turns a line into segments that can be shown without a style attribute. Colours beyond the sixteen take the nearest
 * of them. All other escape sequences and control characters are left out, marks that could reorder the line stand as
 * `⟨U+202E⟩`.
 */
export function toSegments(text: string): AnsiSegment[] {
  if (!special.test(text)) return [{ text, classes: [] }];
  const coloured = toColoured(text);
  if (!coloured.includes('\x1B')) return [{ text: coloured, classes: [] }];
  return merge(Anser.ansiToJson(coloured, { json: true, use_classes: true, remove_empty: true }).map(toSegment));
}

/** The line without escape sequences and control characters, as a search should see it. */
export function stripAnsi(text: string): string {
  return special.test(text) ? withoutControls(text, () => '') : text;
}

/** Leaves colour sequences in their plain form and nothing else that is not text. */
function toColoured(text: string): string {
  let changes = 0;
  return withoutControls(text, (parameters) => {
    changes += 1;
    return changes > maxChanges ? '' : `\x1B[${toSemicolons(parameters)}m`;
  });
}

function withoutControls(text: string, colour: (parameters: string) => string): string {
  return text.replace(tokens, (_token, parameters?: string, final?: string, mark?: string) => {
    if (mark) return showDirection(mark);
    return final === 'm' && colourParameters.test(parameters ?? '') ? colour(parameters ?? '') : '';
  });
}

/** Colours written with colons (`38:2::255:0:0`, `4:3`) in the older form that the parser knows. */
function toSemicolons(parameters: string): string {
  if (!parameters.includes(':')) return parameters;
  return parameters
    .split(';')
    .map((part) => {
      const [kind, mode, ...rest] = part.split(':');
      if (kind !== '38' && kind !== '48') return mode === '0' ? '24' : kind;
      const values = mode === '2' ? rest.slice(-3) : rest.slice(0, 1);
      return [kind, mode, ...values].join(';');
    })
    .join(';');
}

const showDirection = (mark: string) => `⟨U+${mark.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`;

function toSegment(part: AnserJsonEntry): AnsiSegment {
  const classes = [
    ...colourClass('ansi-', part.fg, part.fg_truecolor),
    ...colourClass('ansi-bg-', part.bg, part.bg_truecolor),
    ...[...new Set(part.decorations)].filter((name) => shownDecorations.has(name)).map((name) => `ansi-${name}`),
  ];
  return { text: part.content, classes };
}

function colourClass(prefix: string, name: string | null, trueColour: string | null): string[] {
  if (!name) return [];
  if (name === 'ansi-truecolor') return [prefix + nearest(toRgb(trueColour ?? ''))];
  const palette = /^ansi-palette-(\d+)$/.exec(name);
  return [prefix + (palette ? nearest(paletteColour(Number(palette[1]))) : name.slice('ansi-'.length))];
}

function toRgb(text: string): Rgb {
  const [red = 0, green = 0, blue = 0] = text.split(',').map(Number);
  return [red, green, blue];
}

/** The colour of an index from 16: a cube of 6 x 6 x 6, then 24 greys. */
function paletteColour(index: number): Rgb {
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return [grey, grey, grey];
  }
  const at = index - 16;
  return [cube[Math.floor(at / 36)] ?? 0, cube[Math.floor(at / 6) % 6] ?? 0, cube[at % 6] ?? 0];
}

function nearest(colour: Rgb): string {
  const distances = colours.map((other) => distance(colour, other));
  return colourNames[distances.indexOf(Math.min(...distances))] ?? 'white';
}

const distance = (a: Rgb, b: Rgb) => (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2;

function merge(parts: AnsiSegment[]): AnsiSegment[] {
  const merged: AnsiSegment[] = [];
  for (const part of parts) {
    const last = merged.at(-1);
    if (last && last.classes.join() === part.classes.join()) last.text += part.text;
    else merged.push(part);
  }
  return merged;
}

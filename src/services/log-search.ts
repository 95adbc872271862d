// re2js: RE2 in JavaScript, whose time is linear in the text whatever the pattern; kept well, no dependencies.
import { RE2JS } from 're2js';
import { Problem } from '../errors.ts';

/** What is searched for: a text, or a regular expression in RE2's syntax, whatever its case unless that is asked for. */
export type LogSearchQuery = {
  q?: string | undefined;
  regex?: boolean | undefined;
  matchCase?: boolean | undefined;
};

/** A part of a text, from its first character to behind its last one. */
export type TextRange = readonly [start: number, end: number];

/** Finds where to put marks in a text. */
export type Mark = (text: string) => TextRange[];

/** A search, ready to be run on the plain text of lines. */
export type LogSearch = {
  /**
   * Whether it is found in a text.
   * @throws Problem `invalid` where its expression takes far too long for lines such as these
   */
  isIn: (text: string) => boolean;
  /** Marks what it finds; lines for which there is no time stay unmarked. */
  mark: Mark;
};

/** More marks than this in one line help nobody. */
const maxRanges = 500;
/** Repetitions multiply an expression: `.{0,999}` alone is a program of 2,000 steps. */
const maxProgram = 2_000;
/**
 * The time is linear in the text, and in the program too: up to 90 ns for each character and step. Of a text that is
 * longer than so many steps allow, 2,000 characters at least, no more is looked at.
 */
const maxSteps = 4_000_000;

/**
 * Makes a search ready; none where nothing is searched for.
 * @throws Problem `invalid` that names `q` and what is wrong with the expression
 */
export function createSearch({ q, regex, matchCase }: LogSearchQuery): LogSearch | undefined {
  if (!q) return undefined;
  return regex ? createPattern(compile(q, matchCase ?? false)) : createText(q, matchCase ?? false);
}

function compile(q: string, matchCase: boolean): RE2JS {
  const pattern = read(q, matchCase);
  if (pattern.programSize() <= maxProgram) return pattern;
  throw new Problem(
    'invalid',
    `q: this expression is too large: written out it has ${pattern.programSize()} steps, and ${maxProgram} at most can be ` +
      'used. Make its repetitions smaller.',
  );
}

function read(q: string, matchCase: boolean): RE2JS {
  try {
    return RE2JS.compile(q, matchCase ? 0 : RE2JS.CASE_INSENSITIVE);
  } catch (error) {
    const text = error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : '';
    // Any case is asked for by `(?i)`, which nobody has typed.
    const reason = matchCase ? text : text.replace('`(?i)', '`');
    throw new Problem('invalid', `q: is not a regular expression that can be used here: ${reason}`);
  }
}

function createPattern(pattern: RE2JS): LogSearch {
  const maxLength = Math.floor(maxSteps / pattern.programSize());
  const spend = createPatience();
  const marking = createAllowance();

  function rangesIn(text: string): TextRange[] {
    const ranges: TextRange[] = [];
    const matcher = pattern.matcher(text);
    while (ranges.length < maxRanges && matcher.find()) {
      if (matcher.end() > matcher.start()) ranges.push([matcher.start(), matcher.end()]);
    }
    return ranges;
  }

  return {
    isIn(text) {
      const began = performance.now();
      const found = pattern.test(text.slice(0, maxLength));
      spend(performance.now() - began, text.length);
      return found;
    },
    mark: (text) => (marking.isLeft() ? marking.use(() => rangesIn(text.slice(0, maxLength))) : []),
  };
}

/** ms for a line of no length and for each character: ten times what common expressions take. */
const usualMs = { line: 0.2, character: 0.001 };
const maxSlowMs = 500;
const calmLines = 20;

/**
 * Creates the watch over how long an expression takes: half a second of slow lines, with hardly a quick one between them,
 * and its search ends. A busy machine makes single lines slow, never all of them.
 */
function createPatience() {
  let slowMs = 0;
  let quickLines = 0;
  return (ms: number, length: number) => {
    const isSlow = ms > usualMs.line + length * usualMs.character;
    quickLines = isSlow ? 0 : quickLines + 1;
    slowMs = isSlow ? slowMs + ms : quickLines >= calmLines ? 0 : slowMs;
    if (slowMs > maxSlowMs)
      throw new Problem(
        'invalid',
        'q: this expression takes far too long here. Make it simpler, with fewer repetitions.',
      );
  };
}

/** ms that marks may take at once, and of each second. */
const markMs = { atOnce: 500, eachSecond: 100 };

/** Creates the time that there is for marks: a page of them, then a part of the time that passes. */
function createAllowance() {
  let left = markMs.atOnce;
  let at = performance.now();

  return {
    isLeft(): boolean {
      const now = performance.now();
      left = Math.min(markMs.atOnce, left + ((now - at) / 1_000) * markMs.eachSecond);
      at = now;
      return left > 0;
    },
    use<T>(task: () => T): T {
      const began = performance.now();
      const result = task();
      left -= performance.now() - began;
      return result;
    },
  };
}

function createText(q: string, matchCase: boolean): LogSearch {
  const fold = matchCase ? (text: string) => text : (text: string) => text.toLowerCase();
  const wanted = fold(q);

  function rangesIn(text: string): TextRange[] {
    const folded = fold(text);
    const ranges: TextRange[] = [];
    // Lower-casing can change a text's length; then positions mean nothing and it stays unmarked.
    if (folded.length !== text.length) return ranges;
    for (let at = folded.indexOf(wanted); at >= 0 && ranges.length < maxRanges; ) {
      ranges.push([at, at + wanted.length]);
      at = folded.indexOf(wanted, at + wanted.length);
    }
    return ranges;
  }

  return { isIn: (text) => fold(text).includes(wanted), mark: rangesIn };
}

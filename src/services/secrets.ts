/** Finds what must not be shown unasked in variables, labels and commands. A masked part is not in the result. */

/** A part of a text; the text of a masked part is empty, so that it cannot reach the page. */
export type Piece = { text: string; masked: boolean };

const words = 'PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|KEY|CREDENTIAL';
const secretName = new RegExp(words, 'i');

/** Whether what a variable of this name holds is taken for a secret. */
export function isSecretName(name: string): boolean {
  return secretName.test(name);
}

const hasWord = `(?:${words})`;
/** Where the closing quote is missing, a text was cut within a secret. */
const quoted = `"[^"]*(?:"|$)|'[^']*(?:'|$)`;
/** Longer than any secret that a line begins with, as far as `maskStart` shows it. */
const searched = 8_000;

/**
 * Where secrets hide inside longer texts; the last group is the secret. Rather too much is masked than too little:
 * a password may itself hold `@` and `/`. Each begins only where a name begins, and looks ahead once for the word in it:
 * log lines are hostile and 64 KiB long, so the time has to grow with their length and no faster.
 */
const hidingPlaces = [
  // scheme://user:pass@host, but not scheme://host:8080/path@x
  /((?<![a-z0-9+.-])[a-z0-9+.-]+:\/\/[^\s:@/]*:)(?!\d{1,5}(?:[/?#]|$))([^\s"']{1,2000})(?=@)/gi,
  // https://token@host
  /(https?:\/\/)([^\s:@/"']+)(?=@)/gi,
  // password=…, "password": "…"
  new RegExp(`((?<![\\w.-])(?=[\\w.-]*?${hasWord})[\\w.-]+["']?\\s*=\\s*)(${quoted}|[^\\s;&"']+)`, 'gi'),
  new RegExp(`((?<![\\w.-])(?=[\\w.-]*?${hasWord})[\\w.-]+["']\\s*:\\s*)(${quoted}|[^\\s;&,"'}]+)`, 'gi'),
  // --password …
  new RegExp(`((?:^|\\s)--?(?=[\\w-]*?${hasWord})[\\w-]+\\s+)([^\\s-]\\S*)`, 'gi'),
  /(\b(?:Bearer|Basic)\s+)([\w.~+/=-]{8,})/g,
];

/** A text in parts, with the secrets inside it masked; in one part where `reveal` is set. */
export function maskText(text: string, reveal = false): Piece[] {
  if (reveal) return [plain(text)];
  return hidingPlaces.reduce((pieces, place) => pieces.flatMap((piece) => maskPlace(piece, place)), [plain(text)]);
}

/** The value of a variable or label, masked as a whole where its name says that it is secret. */
export function maskValue(name: string, value: string, reveal = false): Piece[] {
  if (!reveal && value !== '' && isSecretName(name)) return [masked];
  return maskText(value, reveal);
}

/** The arguments of a command, each in parts: `--password=x`, and `--password` followed by `x`. */
export function maskArguments(values: readonly string[], reveal = false): Piece[][] {
  return values.map((value, index) => {
    const before = values[index - 1] ?? '';
    const isValueOfFlag = /^--?[\w-]+$/.test(before) && isSecretName(before) && !value.startsWith('-');
    return isValueOfFlag ? maskValue(before, value, reveal) : maskText(value, reveal);
  });
}

/** Arguments as one text each, with bullets for what is masked: for answers that are not pages. */
export function maskArgumentsText(values: readonly string[]): string[] {
  return maskArguments(values).map(toText);
}

/** The value of a variable or label as one text, with bullets for what is masked. */
export function maskValueText(name: string, value: string): string {
  return toText(maskValue(name, value));
}

/** Parts as one text, with bullets for what is masked. */
export function toText(pieces: readonly Piece[]): string {
  return pieces.map((piece) => (piece.masked ? '••••••••' : piece.text)).join('');
}

/**
 * The beginning of a text of any length, so many characters at most, with bullets for what is masked. It is masked before
 * it is cut: a secret whose end is cut off is none that can be found.
 */
export function maskStart(text: string, most: number): string {
  const whole = toText(maskText(text.slice(0, searched)));
  return whole.length > most ? `${whole.slice(0, most - 1)}…` : whole;
}

/** Whether anything in these parts is masked. */
export function hasMasked(pieces: readonly Piece[]): boolean {
  return pieces.some((piece) => piece.masked);
}

const masked: Piece = { text: '', masked: true };
const plain = (text: string): Piece => ({ text, masked: false });

function maskPlace(piece: Piece, place: RegExp): Piece[] {
  if (piece.masked) return [piece];
  const pieces: Piece[] = [];
  let end = 0;
  for (const match of piece.text.matchAll(place)) {
    const secretAt = match.index + (match[1]?.length ?? 0);
    pieces.push(plain(piece.text.slice(end, secretAt)), masked);
    end = match.index + match[0].length;
  }
  if (end < piece.text.length || pieces.length === 0) pieces.push(plain(piece.text.slice(end)));
  return pieces;
}

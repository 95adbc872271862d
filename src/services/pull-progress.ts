import { isRecord, number, text } from './readers.ts';

/** What happens to a layer, in the order it happens; `present` is one that the engine had already. */
export type LayerState = 'waiting' | 'downloading' | 'downloaded' | 'extracting' | 'done' | 'present';

/** A layer of an image on its way; bytes are those of its present state, null where nobody told. */
export type Layer = { id: string; state: LayerState; current: number | null; total: number | null };

/** What a pull has told so far. */
export type PullState = {
  layers: Layer[];
  /** From 0 to 1; null as long as nothing is known. It never goes back. */
  progress: number | null;
  /** Bytes that were loaded, and of how many that are known of. */
  current: number;
  total: number;
  digest: string;
  /** The engine's own summary, such as `Image is up to date for …`. */
  summary: string;
  /** Why it failed, in the engine's words; empty while it did not. */
  failure: string;
};

/** The shares of a layer's way that are its download and its extraction; it is done when the engine says so. */
const downloadShare = 0.7;
const extractionShare = 0.29;
const maxLayers = 512;
const nearlyAll = 0.99;
const maxIdLength = 128;
/** No layer is larger than this, bytes: 1 PB. */
const maxBytes = 1e15;

const states: Record<string, LayerState> = {
  'Pulling fs layer': 'waiting',
  Waiting: 'waiting',
  Downloading: 'downloading',
  'Verifying Checksum': 'downloaded',
  'Download complete': 'downloaded',
  Extracting: 'extracting',
  'Pull complete': 'done',
  'Already exists': 'present',
};

type Known = Layer & { size: number };

/** Reads the messages of a pull (`POST /images/create`) as they come. */
export type PullProgress = ReturnType<typeof createPullProgress>;

/** Creates the reading of one pull; of more than 512 layers the first are told, and it is not over before its end. */
export function createPullProgress() {
  const layers = new Map<string, Known>();
  let shown: number | null = null;
  let isCut = false;
  let digest = '';
  let summary = '';
  let failure = '';

  function add(message: Record<string, unknown>) {
    const status = text(message.status) ?? '';
    failure ||= failureOf(message);
    digest = /^Digest: (sha256:[0-9a-f]{64})$/.exec(status)?.[1] ?? digest;
    summary = /^Status: (.{1,500})$/.exec(status)?.[1] ?? summary;
    const state = Object.hasOwn(states, status) ? states[status] : undefined;
    const id = text(message.id)?.slice(0, maxIdLength);
    if (state && id) {
      if (layers.has(id) || layers.size < maxLayers) layers.set(id, next(id, state, message));
      else isCut = true;
    }
    const measured = measure([...layers.values()]);
    shown = summary ? 1 : later(shown, isCut && measured === 1 ? nearlyAll : measured);
  }

  function next(id: string, state: LayerState, message: Record<string, unknown>): Known {
    const detail = isRecord(message.progressDetail) ? message.progressDetail : {};
    // Engines with the containerd store count the seconds of an extraction instead of its bytes.
    const isBytes = detail.units === undefined;
    const total = isBytes ? amount(detail.total) : null;
    const current = isBytes ? amount(detail.current) : null;
    const size = total || (layers.get(id)?.size ?? 0);
    return { id, state, current: isWhole(state) && size > 0 ? size : current, total: size || null, size };
  }

  function read(): PullState {
    const known = [...layers.values()];
    const sized = known.filter((layer) => layer.state !== 'present');
    return {
      layers: known.map(({ size, ...layer }) => layer),
      progress: shown,
      current: sum(sized, loadedBytes),
      total: sum(sized, ({ size }) => size),
      digest,
      summary,
      failure,
    };
  }

  return { add, read };
}

/** A pull that fails half-way ends with status 200, and says so in its last message. */
function failureOf(message: Record<string, unknown>): string {
  const detail = isRecord(message.errorDetail) ? text(message.errorDetail.message) : undefined;
  return (detail || text(message.error) || '').slice(0, 2_000);
}

/** A number of bytes that there can be; null for anything else. */
function amount(value: unknown): number | null {
  const bytes = number(value);
  return bytes !== undefined && bytes >= 0 && bytes <= maxBytes ? bytes : null;
}

const isWhole = (state: LayerState) => state === 'downloaded' || state === 'done';

/** How far a set of layers is: each weighs as much as its bytes, an unknown one as much as the mean of the known. */
function measure(layers: readonly Known[]): number | null {
  const moving = layers.filter((layer) => layer.state !== 'present');
  if (moving.length === 0) return null;
  const sizes = moving.map(({ size }) => size).filter((size) => size > 0);
  const mean = sizes.length > 0 ? sizes.reduce((a, b) => a + b, 0) / sizes.length : 1;
  const weight = ({ size }: Known) => size || mean;
  return sum(moving, (layer) => weight(layer) * shareDone(layer)) / sum(moving, weight);
}

function shareDone({ state, current, size }: Known): number {
  const part = size > 0 ? Math.min((current ?? 0) / size, 1) : 0;
  if (state === 'downloading') return downloadShare * part;
  if (state === 'downloaded') return downloadShare;
  if (state === 'extracting') return downloadShare + extractionShare * part;
  return state === 'done' ? 1 : 0;
}

/** What of a layer has come over the network. */
function loadedBytes({ state, current, size }: Known): number {
  if (state === 'waiting') return 0;
  return state === 'downloading' ? Math.min(current ?? 0, size) : size;
}

const sum = <T>(items: readonly T[], amountOf: (item: T) => number) =>
  items.reduce((total, item) => total + amountOf(item), 0);

const later = (before: number | null, now: number | null) => (now === null ? before : Math.max(before ?? 0, now));

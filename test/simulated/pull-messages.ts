import { shortId } from './ids.ts';

/** One line of a pull's answer. */
export interface PullMessage {
  readonly status: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  readonly progress?: string;
  readonly id?: string;
}

/** A layer on its way. */
export interface PulledLayer {
  readonly digest: string;
  readonly size: number;
  readonly isKnown: boolean;
}

interface Transfer {
  readonly id: string;
  readonly size: number;
  readonly steps: number;
  downloaded: number;
  extracted: number;
}

const DOWNLOADS = 3;
const STEP_BYTES = 2_000_000;
const MOST_STEPS = 20;
const BAR = 50;

/** What an engine tells about the layers of a pull: three are downloaded at once, the lowest is extracted first. */
export function* toLayerMessages(layers: readonly PulledLayer[]): Generator<PullMessage> {
  yield* announce(layers);
  const transfers = layers.filter(({ isKnown }) => !isKnown).map(toTransfer);
  while (transfers.some((transfer) => transfer.extracted < transfer.steps)) {
    for (const transfer of transfers.filter(isComing).slice(0, DOWNLOADS)) yield* download(transfer);
    const next = transfers.find((transfer) => transfer.extracted < transfer.steps);
    if (next && !isComing(next)) yield* extract(next);
  }
}

function* announce(layers: readonly PulledLayer[]): Generator<PullMessage> {
  for (const { digest, isKnown } of layers) {
    yield plain(isKnown ? 'Already exists' : 'Pulling fs layer', shortId(digest));
  }
  const fresh = layers.filter(({ isKnown }) => !isKnown);
  for (const { digest } of fresh.slice(DOWNLOADS)) yield plain('Waiting', shortId(digest));
}

function toTransfer({ digest, size }: PulledLayer): Transfer {
  const steps = Math.min(MOST_STEPS, Math.max(2, Math.ceil(size / STEP_BYTES)));
  return { id: shortId(digest), size, steps, downloaded: 0, extracted: 0 };
}

function isComing({ downloaded, steps }: Transfer): boolean {
  return downloaded < steps;
}

function* download(transfer: Transfer): Generator<PullMessage> {
  transfer.downloaded++;
  yield moving('Downloading', transfer, transfer.downloaded);
  if (isComing(transfer)) return;
  yield plain('Verifying Checksum', transfer.id);
  yield plain('Download complete', transfer.id);
}

function* extract(transfer: Transfer): Generator<PullMessage> {
  // Twice as fast as the download.
  transfer.extracted = Math.min(transfer.steps, transfer.extracted + 2);
  yield moving('Extracting', transfer, transfer.extracted);
  if (transfer.extracted === transfer.steps) yield plain('Pull complete', transfer.id);
}

function plain(status: string, id: string): PullMessage {
  return { status, progressDetail: {}, id };
}

function moving(status: string, { id, size, steps }: Transfer, step: number): PullMessage {
  const current = Math.round((size * step) / steps);
  return { status, progressDetail: { current, total: size }, progress: toBar(current, size), id };
}

/** `[=====>      ]  1.5MB/3MB`, as the command line shows it. */
function toBar(current: number, total: number): string {
  const filled = Math.round((BAR * current) / total);
  const bar = filled < BAR ? `${'='.repeat(filled)}>${' '.repeat(BAR - filled - 1)}` : `${'='.repeat(BAR)}>`;
  return `[${bar}]  ${toSize(current)}/${toSize(total)}`;
}

function toSize(bytes: number): string {
  const unit = bytes < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(bytes) / 3));
  return `${Number((bytes / 1000 ** unit).toPrecision(4))}${['B', 'kB', 'MB', 'GB'][unit]}`;
}

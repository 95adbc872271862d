import type { DiskFigures, DiskShare } from '../../services/disk-figures.ts';
import { bytes, count, dateTime, duration, iso } from '../format.ts';
import { type Shared, toShared, type ViewContext } from './context.ts';

/** What is known of the disk, see disk-usage.ts; `figures` are those of the machine or of a project. */
export type DiskInput = {
  isReading: boolean;
  readAt: number | null;
  failure: string;
  figures: DiskFigures | null;
};

type DiskRow = {
  label: string;
  count: string;
  active: string;
  size: string;
  reclaimable: string;
  /** Its part of all that is shown, for a bar; `max` is that. */
  value: number;
  max: number;
};

/** The data of `fragments/dashboard/disk`. */
export type DiskModel = Shared & {
  disk: {
    rows: DiskRow[];
    total: string;
    reclaimable: string;
    age: { text: string; iso: string; title: string } | null;
    isReading: boolean;
    failure: string;
    /** What is said where there is no figure at all. */
    none: string;
    /** Of whom it is, and what is left out. */
    note: string;
    action: string;
    project: string;
  };
};

const labels = {
  images: 'Images',
  containers: 'Containers',
  volumes: 'Volumes',
  buildCache: 'Build cache',
} as const;

/** The disk use of the machine, or of a project. */
export function diskModel(input: DiskInput, project: string | null, context: ViewContext): DiskModel {
  const { figures, readAt, isReading, failure } = input;
  const shares = figures ? toShares(figures) : [];
  const sum = (read: (share: DiskShare) => number) => shares.reduce((total, { share }) => total + read(share), 0);
  const total = sum((share) => share.bytes);
  return {
    ...toShared(context),
    disk: {
      rows: shares.map(({ label, share }) => toRow(label, share, total)),
      total: bytes(total),
      reclaimable: bytes(sum((share) => share.reclaimableBytes)),
      age: readAt === null ? null : toAge(readAt, context.now),
      isReading,
      failure,
      none: figures
        ? ''
        : isReading
          ? 'The engine is measuring it. That takes a while on large disks.'
          : 'Not read yet.',
      note: project === null ? '' : 'Images and build cache are shared with others, and told for the whole machine.',
      action: `${context.base}/dashboard/disk`,
      project: project ?? '',
    },
  };
}

const toShares = (figures: DiskFigures) =>
  (Object.keys(labels) as (keyof DiskFigures)[]).flatMap((kind) => {
    const share = figures[kind];
    return share ? [{ label: labels[kind], share }] : [];
  });

function toRow(label: string, share: DiskShare, total: number): DiskRow {
  const percent = share.bytes > 0 ? Math.floor((share.reclaimableBytes / share.bytes) * 100) : 0;
  return {
    label,
    count: count(share.count),
    active: count(share.active),
    size: bytes(share.bytes),
    reclaimable: share.reclaimableBytes > 0 ? `${bytes(share.reclaimableBytes)} (${percent}%)` : bytes(0),
    value: share.bytes,
    max: Math.max(1, total),
  };
}

function toAge(readAt: number, now: number) {
  const age = now - readAt;
  const text = age < 5_000 ? 'read just now' : `read ${duration(age)} ago`;
  return { text, iso: iso(readAt), title: dateTime(readAt) };
}

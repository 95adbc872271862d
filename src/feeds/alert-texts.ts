import type { AlertWords } from '../services/alert-channels.ts';
import type { AlertNotice } from '../services/alert-types.ts';
import { noticeWords } from '../views/models/alert-words.ts';

/** Creates what puts notifications into words, with links where the outward address is known. */
export const createAlertTexts =
  (publicUrl: string) =>
  (notice: AlertNotice, id: number): AlertWords =>
    noticeWords(notice, id, publicUrl);

import { logLevels } from '../../services/log-levels.ts';
import { count } from '../format.ts';

/** One of what can be chosen in a list. */
export type OptionModel = { value: string; label: string; selected: boolean };

const levelNames = {
  error: 'Errors',
  warn: 'Warnings and worse',
  info: 'Info and worse',
  debug: 'Debug and worse',
} as const;
const tails = ['100', '500', '1000', '5000'];
const contexts = ['', '1', '2', '3', '5', '10'];

/** How grave lines have to be. */
export const levelOptions = (level: string): OptionModel[] =>
  [{ value: '', label: 'All levels' }, ...logLevels.map((value) => ({ value, label: levelNames[value] }))].map(
    (option) => ({ ...option, selected: option.value === level }),
  );

/** How many lines a view begins with; what was asked for stands among them. */
export const tailOptions = (tail: string): OptionModel[] =>
  (tails.includes(tail) ? tails : [tail, ...tails]).map((value) => ({
    value,
    label: `Last ${/^\d+$/.test(value) ? count(Number(value)) : value}`,
    selected: value === tail,
  }));

/** How many lines are shown around each match. */
export const contextOptions = (context: string): OptionModel[] =>
  (contexts.includes(context) ? contexts : [...contexts, context]).map((value) => ({
    value: value || '0',
    label: value ? `± ${value} ${value === '1' ? 'line' : 'lines'}` : 'Matches alone',
    selected: value === context,
  }));

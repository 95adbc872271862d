/** What somebody can choose of how logs are shown, by the name of its cookie and field; the first of each is the usual. */
export const logChoices = {
  logTime: ['utc', 'local', 'relative', 'off'],
  logWrap: ['on', 'off'],
  logSize: ['medium', 'small', 'large', 'huge'],
  logColours: ['on', 'off'],
} as const;

/** The names of these choices. */
export const logChoiceNames = Object.keys(logChoices) as (keyof typeof logChoices)[];

/** How somebody wants logs to be shown. */
export type LogDisplay = { [Name in keyof typeof logChoices]: (typeof logChoices)[Name][number] };

type OptionModel = {
  value: string;
  label: string;
  checked: boolean;
  /** Whether a page can't do it without a script: the zone and the age of a line are known by the browser alone. */
  needsScript: boolean;
};

/** One choice, as a group of options in a form. */
export type DisplayChoiceModel = { name: string; label: string; options: OptionModel[] };

const texts: { [Name in keyof LogDisplay]: { label: string; options: Record<LogDisplay[Name], string> } } = {
  logTime: { label: 'Time', options: { utc: 'UTC', local: 'Local', relative: 'Relative', off: 'None' } },
  logWrap: { label: 'Long lines', options: { on: 'Wrap', off: 'Scroll' } },
  logSize: { label: 'Text', options: { small: 'Small', medium: 'Medium', large: 'Large', huge: 'Huge' } },
  logColours: { label: 'Colours', options: { on: 'On', off: 'Off' } },
};

/** How somebody wants logs to be shown, as their cookies say; what is none of the choices is the usual. */
export function toLogDisplay(cookies: Record<string, string | undefined> = {}): LogDisplay {
  const pick = <T extends string>(values: readonly [T, ...T[]], wanted: string | undefined): T =>
    values.find((value) => value === wanted) ?? values[0];
  return {
    logTime: pick(logChoices.logTime, cookies.logTime),
    logWrap: pick(logChoices.logWrap, cookies.logWrap),
    logSize: pick(logChoices.logSize, cookies.logSize),
    logColours: pick(logChoices.logColours, cookies.logColours),
  };
}

/** The choices as a form shows them. */
export function logChoiceModels(display: LogDisplay): DisplayChoiceModel[] {
  return logChoiceNames.map((name) => ({
    name,
    label: texts[name].label,
    options: Object.entries(texts[name].options).map(([value, label]) => ({
      value,
      label,
      checked: value === display[name],
      needsScript: value === 'local' || value === 'relative',
    })),
  }));
}

/** One value of a scrape, its labels read back. */
export type Sample = { name: string; labels: Record<string, string>; value: number };

/** A scrape as a test reads it. */
export type Scrape = ReturnType<typeof readScrape>;

const unescapes: Record<string, string> = { '\\\\': '\\', '\\"': '"', '\\n': '\n' };

/** Reads the text format of Prometheus; throws for a line that is none of it. */
export function readScrape(text: string) {
  const lines = text.split('\n').filter((line) => line !== '' && line !== '# EOF');
  const described = lines.filter((line) => line.startsWith('# TYPE ')).map((line) => line.split(' ').slice(2));
  const samples = lines.filter((line) => !line.startsWith('#')).map(readSample);
  return {
    text,
    samples,
    /** The kind of each metric by its name. */
    kinds: new Map(described.map(([name = '', kind = '']) => [name, kind])),
    /** All values of a name that have these labels. */
    all: (name: string, labels: Record<string, string> = {}) =>
      samples.filter((sample) => sample.name === name && has(sample, labels)),
    /** The only value of a name that has these labels; undefined where there is none. */
    value(name: string, labels: Record<string, string> = {}): number | undefined {
      const found = samples.filter((sample) => sample.name === name && has(sample, labels));
      if (found.length > 1) throw new Error(`${found.length} values of ${name} ${JSON.stringify(labels)}`);
      return found[0]?.value;
    },
  };
}

const has = (sample: Sample, labels: Record<string, string>) =>
  Object.entries(labels).every(([name, value]) => sample.labels[name] === value);

function readSample(line: string): Sample {
  const match = /^([a-z][a-z0-9_]*)(?:\{(.*)\})? (\S+)$/s.exec(line);
  if (!match) throw new Error(`No sample: ${line}`);
  const [, name = '', labels = '', value = ''] = match;
  return { name, labels: readLabels(labels), value: Number(value) };
}

function readLabels(text: string): Record<string, string> {
  const pairs = [...text.matchAll(/(\w+)="((?:\\.|[^"\\])*)"(?:,|$)/g)];
  if (pairs.map(([pair]) => pair).join('') !== text) throw new Error(`No labels: ${text}`);
  return Object.fromEntries(
    pairs.map(([, name = '', value = '']) => [name, value.replace(/\\[\\"n]/g, (escaped) => unescapes[escaped] ?? '')]),
  );
}

// What a run of tap wrote down, told in a few lines.

/** The counts of tap's own closing comment, `# { total: 3, pass: 1, fail: 1, skip: 1 }`; nothing when it is missing. */
export function countsOf(lines) {
  const comment = lines.findLast((line) => /^# \{ .* \}$/.test(line)) ?? '';
  const count = (name) => Number(comment.match(new RegExp(`\\b${name}: (\\d+)`))?.[1] ?? 0);
  return { passed: count('pass'), failed: count('fail'), skipped: count('skip') + count('todo') };
}

/** The files that did not pass. */
export function failedFiles(lines) {
  return lines.flatMap((line) => line.match(/^not ok \d+ - (\S+)/)?.[1] ?? []);
}

/** Prints each failed assertion with where it stands and what tap noted about it; a test that holds it isn't told again. */
export function printFailures(lines) {
  const names = [];
  const failedAt = [];
  for (const [i, line] of lines.entries()) {
    const [, indent = '', result, name = ''] =
      line.match(/^( *)(# Subtest:|not ok|ok)(?: \d+ -)? (.*?)(?: # time=.*)?$/) ?? [];
    const depth = indent.length / 4;
    if (result === '# Subtest:') names[depth] = name;
    else if (result === 'not ok' && !/ # (SKIP|TODO)/.test(name)) {
      if (!failedAt[depth + 1])
        console.log(`\nnot ok  ${[...names.slice(0, depth), name].join(' > ')}${notesAfter(lines, i)}`);
      failedAt[depth] = true;
    }
    if (result?.endsWith('ok')) failedAt[depth + 1] = false;
  }
}

/** The block between "---" and "..." that follows a line, if there is one. */
function notesAfter(lines, i) {
  if (lines[i + 1]?.trim() !== '---') return '';
  const start = i + 2;
  const indent = lines[i + 1].indexOf('---');
  const end = lines.findIndex((line, j) => j >= start && line === `${' '.repeat(indent)}...`);
  return ['', ...lines.slice(start, end)].map((line) => line.slice(indent)).join('\n  ');
}

/** Prints a line for each test file, and why something was skipped. */
export function printFiles(lines) {
  const files = lines.filter((line) => /^(not )?ok /.test(line));
  const skipped = lines.flatMap((line) => line.match(/^ +ok .*# SKIP (.+)$/)?.[1] ?? []);
  if (files.length > 0)
    console.log(files.map((line) => line.replace(/^(not ok|ok) \d+ - /, (_, result) => result.padEnd(8))).join('\n'));
  for (const reason of new Set(skipped)) console.log(`skipped  ${reason}`);
}

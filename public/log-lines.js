/* How the lines of a log are shown: their times and days, how somebody wants them to look, and one tab stop for all. */
(() => {
  const find = (selector) => document.querySelector(selector);
  const on = (event, handler, capture) => document.addEventListener(event, handler, capture);
  const logList = () => find('#log-lines');
  const isLine = (element) => element.classList?.contains('log-line');
  const mode = (list) => list.dataset.time;

  // ── times ──

  const spans = [
    [2 * 86_400_000, 86_400_000, 'd'],
    [3_600_000, 3_600_000, 'h'],
    [60_000, 60_000, 'min'],
  ];

  /** How long ago a moment was, in one unit. */
  function toAge(date) {
    const ms = Math.max(0, Date.now() - date);
    const [, unit, name] = spans.find(([from]) => ms >= from) ?? [0, 1_000, 's'];
    return `${Math.floor(ms / unit)} ${name} ago`;
  }

  const digits = (value, count = 2) => String(value).padStart(count, '0');

  const toLocal = (date) =>
    `${digits(date.getHours())}:${digits(date.getMinutes())}:${digits(date.getSeconds())}.${digits(date.getMilliseconds(), 3)}`;

  function toTime(text, how) {
    if (how === 'relative') return toAge(new Date(text));
    return how === 'local' ? toLocal(new Date(text)) : text.slice(11, 23);
  }

  /** Who reads with the ears is told the moment itself, whatever is shown. */
  function showTime(line, how) {
    const time = line.querySelector('time');
    const text = toTime(time.dateTime, how);
    if (time.textContent !== text) time.textContent = text;
    if (how === 'relative') time.parentElement.setAttribute('aria-label', time.dateTime);
    else time.parentElement.removeAttribute('aria-label');
  }

  // ── days ──

  const usesZone = (how) => how === 'local' || how === 'relative';

  const dayParts = { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' };
  const zoneDay = new Intl.DateTimeFormat('en-GB', dayParts);
  const utcDay = new Intl.DateTimeFormat('en-GB', { ...dayParts, timeZone: 'UTC' });
  const toDay = (date, how) => (usesZone(how) ? zoneDay.format(date) : `${utcDay.format(date)}, UTC`);

  function dayOf({ dataset: { ts } }, how) {
    return usesZone(how) ? new Date(ts).toDateString() : ts.slice(0, 10);
  }

  function lineBefore(line) {
    let before = line.previousElementSibling;
    while (before && !isLine(before)) before = before.previousElementSibling;
    return before;
  }

  /** Above the first line, and above each of another day than the one before it. */
  function showDay(line, how) {
    const before = lineBefore(line);
    if (before && dayOf(before, how) === dayOf(line, how)) return line.removeAttribute('data-day');
    const day = toDay(new Date(line.dataset.ts), how);
    if (line.dataset.day !== day) line.dataset.day = day;
  }

  // ── one tab stop ──

  /** The line that Tab leads to: thousands would be as many stops on the way through the page. Arrows lead to the others. */
  let stop = null;

  const controlsOf = (line) => line.querySelectorAll('a, summary');

  function setTabStop(line, isStop) {
    for (const control of controlsOf(line)) control.tabIndex = isStop ? 0 : -1;
  }

  function letTabLeadTo(line) {
    if (stop) setTabStop(stop, false);
    stop = line ?? null;
    if (stop) setTabStop(stop, true);
  }

  /** The lines that are in sight: the first is looked for by halves, as there may be thousands. */
  function linesInSight(list) {
    const { top, bottom } = list.getBoundingClientRect();
    const { children } = list;
    let first = 0;
    for (let end = children.length; first < end; ) {
      const middle = (first + end) >> 1;
      if (children[middle].getBoundingClientRect().bottom <= top) first = middle + 1;
      else end = middle;
    }
    const seen = [];
    for (let n = first; n < children.length && children[n].getBoundingClientRect().top < bottom; n += 1)
      if (isLine(children[n])) seen.push(children[n]);
    return seen;
  }

  on('focusin', ({ target }) => {
    if (target.id !== 'log-lines') return;
    const lines = linesInSight(target);
    if (!lines.includes(stop)) letTabLeadTo(lines[0]);
  });

  const steps = {
    ArrowDown: (line) => line.nextElementSibling,
    ArrowUp: (line) => line.previousElementSibling,
    Home: (line) => line.parentElement.firstElementChild,
    End: (line) => line.parentElement.lastElementChild,
  };

  on('keydown', (event) => {
    const { key, target } = event;
    const step = steps[key];
    const line = target.closest('#log-lines .log-line');
    if (!step || !line || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    let next = step(line);
    while (next && !isLine(next))
      next = key === 'ArrowUp' || key === 'End' ? steps.ArrowUp(next) : steps.ArrowDown(next);
    const control = next && [...controlsOf(next)].find((each) => each.checkVisibility());
    if (!control) return;
    letTabLeadTo(next);
    control.focus();
    next.scrollIntoView({ block: 'nearest' });
  });

  // ── what comes and stays ──

  function dress(lines, how) {
    for (const line of lines) {
      setTabStop(line, line === stop);
      showTime(line, how);
      showDay(line, how);
    }
  }

  const watcher = new MutationObserver((records) => {
    const list = records[0].target;
    const added = records.flatMap((record) => [...record.addedNodes]).filter((node) => node.parentNode === list);
    const lines = added.filter(isLine);
    dress(lines, mode(list));
    // What had no line before it, or another one.
    const others = [lines.at(-1)?.nextElementSibling, list.firstElementChild];
    for (const line of others) if (line && isLine(line)) showDay(line, mode(list));
  });

  let watched = null;

  function prepare() {
    const list = logList();
    if (list !== watched) {
      watcher.disconnect();
      watched = list;
      stop = null;
      if (list) watcher.observe(list, { childList: true });
    }
    if (list) dress(list.querySelectorAll('.log-line'), mode(list));
    keepAges();
  }

  // A push brings lines, which the watcher sees; an answer may bring the whole page anew.
  on('htmx:after:swap', ({ detail: { ctx } }) => {
    if (ctx?.request) prepare();
  });

  // ── ages stay true ──

  let beat;

  function showAges() {
    const list = logList();
    if (list) for (const line of linesInSight(list)) showTime(line, mode(list));
  }

  /** One beat for all lines in sight, and none where no age is shown or nobody looks. */
  function keepAges() {
    const list = logList();
    const isNeeded = list && mode(list) === 'relative' && !document.hidden;
    if (isNeeded) showAges();
    if (isNeeded && beat === undefined) beat = setInterval(showAges, 1_000);
    if (isNeeded || beat === undefined) return;
    clearInterval(beat);
    beat = undefined;
  }

  on('visibilitychange', keepAges);
  on('scroll', ({ target }) => target.id === 'log-lines' && mode(target) === 'relative' && showAges(), true);

  // ── choices ──

  /** Shows a choice at once; the server remembers it for the next page. */
  on('change', ({ target }) => {
    const list = logList();
    if (target.form?.id !== 'log-display' || !list) return;
    list.dataset[target.name.slice('log'.length).toLowerCase()] = target.value;
    if (target.name === 'logTime') prepare();
    const body = new URLSearchParams({ [target.name]: target.value });
    // What could not be remembered lasts as long as the page.
    fetch(target.form.action, { method: 'POST', body, redirect: 'manual', keepalive: true }).catch(() => {});
  });

  prepare();
})();

/* Small islands over plain pages. Every page works without them: they tell whether it is live, mark what changed,
   follow logs, and shorten paths. */
(() => {
  const find = (selector) => document.querySelector(selector);
  const on = (event, handler, capture) => document.addEventListener(event, handler, capture);
  document.documentElement.dataset.js = '';

  // ── what may become HTML ──

  // Pages ask for it (Trusted Types): what htmx has fetched from this server becomes HTML, which our templates have
  // escaped. No other script can, since nobody else has the policy and there is to be no second one.
  const policy = window.trustedTypes?.createPolicy('fairlead', { createHTML: (html) => html });
  if (policy) window.htmx.registerExtension('fairlead', { init: ({ initSecurity }) => initSecurity(policy) });

  // ── is the view live? ──

  const liveTexts = { live: 'live', reconnecting: 'reconnecting', offline: 'offline: reload the page' };

  function showStatus(element, status, text) {
    if (!element || (element.dataset.status === status && element.textContent === text)) return;
    element.dataset.status = status;
    element.textContent = text;
    element.toggleAttribute('data-lost', text === liveTexts.offline);
  }

  /**
   * The socket that keeps the page's own matter true. Every page follows the engine in its header; one that follows
   * nothing else has only that of its log viewer, where the page is one, or none.
   */
  const mainSocket = () => find('#live:not([data-follows=engine])') ?? find('.logs-full #log-live');

  const isMain = (element) => element === mainSocket();

  const showLive = (status) => showStatus(find('#live-status'), status, liveTexts[status]);

  const showNotLive = () => showStatus(find('#live-status'), 'offline', 'not live');

  /** A socket that closed comes back by itself, unless the server said that there is no use. */
  const willReturn = ({ connection, code, reason }) =>
    reason === 'removed' || (reason === 'closed' && connection.config.reconnectCodes.includes(code));

  on('htmx:ws:after:connection', ({ target }) => {
    if (isMain(target)) showLive('live');
    if (target.id === 'log-live') showStatus(find('#log-state'), 'live', 'following');
  });

  on('htmx:ws:close', ({ target, detail }) => {
    const status = willReturn(detail) ? 'reconnecting' : 'offline';
    if (target.id === 'log-live' && isPaused) return isMain(target) && showNotLive();
    if (isMain(target)) showLive(status);
    if (target.id === 'log-live') showStatus(find('#log-state'), status, status);
  });

  // ── logs ──

  const maxLines = 5000;
  const maxPlaces = 150;
  const nearBottom = 24;
  const nearTop = 400;
  let isFollowing = true;
  let isPaused = false;
  /** Whether it was paused because somebody reads older lines and there is no room for new ones. */
  let isFull = false;
  let wasAway = false;

  const logList = () => find('#log-lines');

  const isLive = () => find('#log-live') !== null;

  const isBehind = (a, b) => (a.slice(0, 19) === b.slice(0, 19) ? Number(a.slice(20)) > Number(b.slice(20)) : a > b);

  /** Where the view ends: at its last line, or behind it, where later ones were not wanted or were cleared away. */
  function lastCursor(list) {
    const { last } = list.dataset;
    for (let line = list.lastElementChild; line; line = line.previousElementSibling) {
      const { cursor } = line.dataset;
      if (cursor) return last && isBehind(last, cursor) ? last : cursor;
    }
    return last;
  }

  /**
   * In a merged log each container has a place of its own, the end of the cursor names it. It is noted as lines come,
   * since the last one of a quiet container may have been trimmed away.
   */
  function placesOf(list, url) {
    list.places ??= new Map(url.searchParams.getAll('since').map((cursor) => [ownerOf(cursor), cursor]));
    const fresh = [];
    for (let line = list.lastElementChild; line && line !== list.noted; line = line.previousElementSibling)
      if (line.dataset.cursor) fresh.push(line.dataset.cursor);
    for (const cursor of fresh.reverse()) list.places.set(ownerOf(cursor), cursor);
    list.noted = list.lastElementChild;
    // An address has a bound: of containers that are long gone the places are left out.
    return [...list.places.values()].sort().slice(-maxPlaces);
  }

  const ownerOf = (cursor) => cursor.slice(cursor.lastIndexOf('.'));

  /** Lets the places be noted anew from the lines that are there, with what the address of the socket says or without. */
  function forgetPlaces(list, places) {
    list.places = places;
    list.noted = undefined;
  }

  const isMerged = (list) => list.classList.contains('merged');

  /** The cursors right behind which a view is followed on. */
  function cursorsOf(list, url) {
    if (isMerged(list)) return placesOf(list, url);
    const cursor = lastCursor(list);
    return cursor ? [cursor] : [];
  }

  const firstCursor = (list) => list.querySelector('[data-cursor]')?.dataset.cursor;

  /** The next connection begins right after the last line. Set after every message: not every reconnect is told. */
  function continueAfterLast(connection) {
    const list = logList();
    const url = new URL(connection.url);
    const cursors = list ? cursorsOf(list, url) : [];
    if (cursors.length === 0) return;
    url.searchParams.delete('since');
    for (const cursor of cursors) url.searchParams.append('since', cursor);
    connection.url = url.href;
  }

  /** Lines come wrapped, which is far cheaper for htmx; here they become children of the list. */
  function unwrap(list) {
    for (const batch of list.querySelectorAll('.log-batch')) batch.replaceWith(...batch.childNodes);
  }

  /** Lets a link lead to what was taken out at its end of the list. */
  function leadTo(link, parameter, cursor) {
    if (!link || !cursor) return;
    for (const name of ['href', 'hx-get']) {
      const url = new URL(link.getAttribute(name), location.href);
      url.searchParams.set(parameter, cursor);
      link.setAttribute(name, url.pathname + url.search);
    }
    link.hidden = false;
  }

  function trimStart(list) {
    if (list.childElementCount <= maxLines) return;
    while (list.childElementCount > maxLines) list.firstChild.remove();
    leadTo(find('#log-earlier'), 'before', firstCursor(list));
  }

  /** What is taken out here comes again behind the last line that stays, when it is asked for. */
  function trimEnd(list) {
    if (list.childElementCount <= maxLines) return;
    while (list.childElementCount > maxLines) list.lastChild.remove();
    delete list.dataset.last;
    forgetPlaces(list, new Map());
    if (isLive()) pauseAsFull();
    else leadTo(find('#log-later'), 'after', lastCursor(list));
  }

  let isScrolling = false;

  /** Once a frame, and once more: lines that were never drawn have guessed heights until the end is in sight. */
  function scrollToEnd(list) {
    if (isScrolling) return;
    isScrolling = true;
    requestAnimationFrame(() => {
      if (isFollowing) list.scrollTop = list.scrollHeight;
      requestAnimationFrame(() => {
        isScrolling = false;
        if (isFollowing) list.scrollTop = list.scrollHeight;
      });
    });
  }

  function setFollowing(value) {
    isFollowing = value;
    wasAway = false;
    find('[data-log=follow]')?.setAttribute('aria-pressed', String(value));
    if (value) find('[data-log=bottom]')?.setAttribute('hidden', '');
  }

  function showNewLines() {
    const list = logList();
    if (!list) return;
    unwrap(list);
    if (isFollowing) {
      trimStart(list);
      scrollToEnd(list);
    } else {
      trimEnd(list);
      find('[data-log=bottom]')?.removeAttribute('hidden');
    }
  }

  on('htmx:ws:before:connection', (event) => {
    if (event.target.id !== 'log-live') return;
    if (isPaused) event.preventDefault();
    else continueAfterLast(event.detail.connection);
  });

  on('htmx:ws:after:message:incoming', ({ target, detail }) => {
    if (target.id !== 'log-live') return;
    showNewLines();
    continueAfterLast(detail.connection);
  });

  // Lines that come in sight for the first time are higher than was guessed, such as those of a viewer further down a page.
  on('contentvisibilityautostatechange', ({ target }) => {
    if (isFollowing && target.parentElement?.id === 'log-lines') scrollToEnd(logList());
  });

  on(
    'scroll',
    ({ target }) => {
      if (target.id !== 'log-lines') return;
      const isAtEnd = target.scrollTop + target.clientHeight >= target.scrollHeight - nearBottom;
      // While new lines come in, the list is away from its end for a moment without anybody having scrolled.
      if (!isAtEnd && !isScrolling && isFollowing) setFollowing(false);
      // Only who was away from the end and comes back wants to follow again; a switch that was just put off stays off.
      const comesBack = isAtEnd && wasAway && !isFollowing;
      wasAway = !isAtEnd && !isFollowing;
      if (comesBack && !isLive()) loadMore(find('#log-later'));
      else if (comesBack) goOn();
      if (!isFollowing && target.scrollTop < nearTop) loadMore(find('#log-earlier'));
    },
    true,
  );

  // ── other parts of a log ──

  const isMore = (element) => element?.id === 'log-earlier' || element?.id === 'log-later';

  /** Loads more lines by themselves, unless they are on their way or could not be had. */
  function loadMore(link) {
    if (link && !link.hidden && !link.hasAttribute('aria-busy') && link.dataset.failed === undefined) link.click();
  }

  /** What is read stays where it is on the screen, while lines come before it or go. */
  let anchor = null;

  function holdPlace(list, link) {
    const { top } = list.getBoundingClientRect();
    const line = [...list.children].find((child) => child.getBoundingClientRect().bottom > top);
    const hasFocus = link === document.activeElement;
    anchor = { line, top: line?.getBoundingClientRect().top, link: link.id, hasFocus };
  }

  function showMore(list) {
    const { line, top, link, hasFocus } = anchor;
    const isEarlier = link === 'log-earlier';
    anchor = null;
    if (isEarlier) trimEnd(list);
    else trimStart(list);
    if (line?.isConnected) list.scrollTop += line.getBoundingClientRect().top - top;
    // The last of them takes the link away; whoever pressed it goes on in the lines.
    if (hasFocus) (find(`#${link}:not([hidden])`) ?? list).focus({ preventScroll: true });
  }

  on('htmx:before:request', ({ detail: { ctx } }) => {
    if (!isMore(ctx.sourceElement)) return;
    ctx.more = ctx.sourceElement;
    ctx.more.setAttribute('aria-busy', 'true');
    setFollowing(false);
  });

  on('htmx:before:swap', ({ detail: { ctx } }) => {
    if (ctx?.more) holdPlace(logList(), ctx.more);
  });

  on('htmx:after:swap', () => anchor && showMore(logList()));

  // A link that is still there brought nothing: it has to be pressed again.
  on('htmx:finally:request', ({ detail: { ctx } }) => {
    if (!ctx.more?.isConnected) return;
    ctx.more.removeAttribute('aria-busy');
    ctx.more.dataset.failed = '';
  });

  // Whoever goes from line to line wants to read; who changes how lines look still wants to see the newest.
  on('focusin', ({ target }) => target.closest('#log-lines .log-line') && setFollowing(false));
  on('change', ({ target }) => target.form?.id === 'log-display' && isFollowing && scrollToEnd(logList()));

  /** Somebody who scrolls up wants to read, even in the middle of a flood. */
  function stopFollowing({ target }) {
    if (isFollowing && target.closest?.('#log-lines')) setFollowing(false);
  }

  on('wheel', (event) => event.deltaY < 0 && stopFollowing(event), { passive: true });
  on('touchmove', stopFollowing, { passive: true });
  on('pointerdown', (event) => event.target.id === 'log-lines' && stopFollowing(event));
  on('keydown', (event) => ['ArrowUp', 'PageUp', 'Home'].includes(event.key) && stopFollowing(event));

  /** Closes the viewer's socket, or opens it again right after the last line. */
  function setPaused(value, text = 'paused') {
    isPaused = value;
    isFull = false;
    find('[data-log=pause]')?.setAttribute('aria-pressed', String(value));
    htmx.process(find('#log-live'), true);
    if (value) showStatus(find('#log-state'), 'reconnecting', text);
  }

  function pauseAsFull() {
    if (isPaused) return;
    setPaused(true, `paused: ${maxLines.toLocaleString('en')} lines are shown`);
    isFull = true;
  }

  /** Follows again, also where there was no room to. */
  function goOn() {
    if (isFull) setPaused(false);
    setFollowing(true);
  }

  const logActions = {
    follow: (list) => {
      setFollowing(!isFollowing);
      if (isFollowing) scrollToEnd(list);
    },
    bottom: (list) => {
      goOn();
      scrollToEnd(list);
    },
    pause: () => (isFull ? goOn() : setPaused(!isPaused)),
    clear: (list) => {
      list.dataset.last = lastCursor(list) ?? '';
      list.replaceChildren();
      setFollowing(true);
    },
  };

  /** Where a view begins; once more when the lines around are drawn, which had guessed heights. */
  function scrollToBegin(list) {
    const marked = list.querySelector('[aria-current]');
    const scroll = () => {
      if (marked) marked.scrollIntoView({ block: 'center' });
      else list.scrollTop = list.dataset.begins === 'start' ? 0 : list.scrollHeight;
    };
    scroll();
    requestAnimationFrame(scroll);
  }

  /** Prepares a viewer that has just come into the page. */
  function prepareLogs() {
    const list = logList();
    if (!list || list.prepared === list.dataset.placeholder + location.href) return;
    list.prepared = list.dataset.placeholder + location.href;
    forgetPlaces(list);
    isPaused = false;
    isFull = false;
    setFollowing(isLive());
    if (isLive()) scrollToEnd(list);
    else scrollToBegin(list);
  }

  // ── what changed ──

  const flashMs = 10_000;
  const maxFlashes = 20;
  const stateOf = (row) => row.dataset.state + (row.querySelector('.c-state')?.textContent ?? '');

  /** Marks rows that a push brings with another state, before they are swapped in. */
  function markChanged(fragment) {
    const rows = [...fragment.querySelectorAll('tr[id]:not(.group-head)')].filter((row) => {
      const shown = document.getElementById(row.id);
      return !shown || (stateOf(shown) !== stateOf(row) && shown.getAttribute('aria-busy') !== 'true');
    });
    if (rows.length > maxFlashes) return;
    for (const row of rows) {
      row.dataset.changed = '';
      setTimeout(() => document.getElementById(row.id)?.removeAttribute('data-changed'), flashMs);
    }
  }

  on('htmx:before:swap', ({ detail }) => {
    for (const task of detail.tasks) if (task.type === 'partial') markChanged(task.fragment);
  });

  on('htmx:after:swap', () => {
    prepareLogs();
    trimFailures();
    if (!mainSocket()) showNotLive();
  });

  // ── what was asked for and has not happened yet ──

  /** A form that leads to another page is sent once, however often it is pressed. */
  on('submit', (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== 'post') return;
    if (form.dataset.sent !== undefined) return event.preventDefault();
    form.dataset.sent = '';
    event.submitter?.setAttribute('aria-busy', 'true');
  });

  // A page that comes back from the browser's own memory can be sent again.
  window.addEventListener('pageshow', ({ persisted }) => {
    if (!persisted) return;
    for (const form of document.querySelectorAll('form[data-sent]')) {
      form.removeAttribute('data-sent');
      form.querySelector('[aria-busy]')?.removeAttribute('aria-busy');
    }
  });

  const atWork = new Set();

  /** What one request has marked, where a push may have brought it anew: the place, the button and the word in it. */
  function findAnew(work) {
    if (work.place?.id) work.place = document.getElementById(work.place.id);
    if (work.button && !work.button.isConnected)
      work.button = work.place?.querySelector(`button[formaction="${work.button.getAttribute('formaction')}"]`);
    work.word = work.place?.querySelector('.state .word, .count .running');
  }

  /** Nothing else of a form can be pressed while it is at work. What was pressed keeps the focus, and is dropped again. */
  function disableOthers({ button, form, disabled }) {
    for (const other of (button?.form ?? form).querySelectorAll('button:enabled')) {
      if (other === button) continue;
      other.disabled = true;
      disabled.add(other);
    }
    button?.setAttribute('aria-disabled', 'true');
  }

  /** Shows that something is at work, unless the place has become something else by itself. */
  function showWork(work) {
    findAnew(work);
    const { place, button, word, verb, state } = work;
    if (place?.dataset.state !== state) return;
    place?.setAttribute('aria-busy', 'true');
    button?.setAttribute('aria-busy', 'true');
    disableOthers(work);
    if (!word || !verb || word.textContent === verb) return;
    work.before = word.textContent;
    word.textContent = verb;
  }

  function endWork(work) {
    findAnew(work);
    const { place, button, word, verb, before } = work;
    for (const other of work.disabled) other.disabled = false;
    button?.removeAttribute('aria-disabled');
    for (const busy of [place, button, ...(place?.querySelectorAll('button[aria-busy]') ?? [])])
      busy?.removeAttribute('aria-busy');
    if (word && word.textContent === verb) word.textContent = before;
  }

  on('htmx:before:request', ({ detail: { ctx } }) => {
    if (ctx.request.method !== 'POST') return;
    forgetFaults(ctx.sourceElement);
    const { submitter: button } = ctx.request;
    const place = ctx.sourceElement.closest('tr, #container-head, #project-page');
    const menu = button?.closest('details');
    if (menu) closeMenu(menu);
    const verb = button?.dataset.busy;
    ctx.work = { form: ctx.sourceElement, button, place, state: place?.dataset.state, verb, disabled: new Set() };
    atWork.add(ctx.work);
    showWork(ctx.work);
  });

  on('htmx:after:swap', () => atWork.forEach(showWork));

  on('htmx:finally:request', ({ detail: { ctx } }) => {
    if (atWork.delete(ctx.work)) endWork(ctx.work);
  });

  const maxFailures = 5;

  /** Failures stay until somebody takes them away; of very many, the newest. */
  function trimFailures() {
    const failures = find('#failures');
    if (failures?.childElementCount <= 1) delete failures.dataset.cut;
    while (failures?.childElementCount > maxFailures) {
      failures.lastElementChild.remove();
      failures.dataset.cut = '';
    }
  }

  function say(text) {
    const message = document.createElement('div');
    message.className = 'notice bad message';
    message.setAttribute('role', 'alert');
    message.append(text);
    find('#failures')?.prepend(message);
    trimFailures();
  }

  /** A refusal that begins with a field's name is told at the field too, which is what somebody has to go to. */
  function tellAtField(form) {
    const told = find('#failures .message p')?.textContent ?? '';
    const [, name, words] = /^(\w+): (.+)/s.exec(told) ?? [];
    const field = name && form.elements?.[name];
    if (!field?.willValidate || !field.closest('.label')) return;
    const note = document.createElement('small');
    note.className = 'field-fault';
    note.append(words);
    field.closest('.label').append(note);
    field.setAttribute('aria-invalid', 'true');
    field.focus();
  }

  function forgetFaults(form) {
    for (const note of form.querySelectorAll('.field-fault')) note.remove();
    for (const field of form.querySelectorAll('[aria-invalid]')) field.removeAttribute('aria-invalid');
  }

  on('htmx:after:swap', ({ detail: { ctx } }) => {
    if (ctx?.response?.status === 400 && ctx.request.method === 'POST') tellAtField(ctx.sourceElement);
  });

  on('htmx:response:error', ({ detail: { ctx } }) => {
    const isTold = ctx.text.includes('<hx-partial') || ctx.select;
    if (!isTold) say(`That failed with status ${ctx.response.status}.`);
  });

  on('htmx:error', ({ detail: { ctx } }) => {
    if (ctx?.response === undefined && ctx?.request)
      say('No answer came: the server may be away. Nothing else is known.');
  });

  // An address tells only what differs from the usual.
  on('htmx:config:request', ({ detail: { ctx } }) => {
    if (ctx.request.method !== 'GET') return;
    const { body } = ctx.request;
    for (const [name, value] of [...body]) if (value === '') body.delete(name);
  });

  // ── menus, keys, copies ──

  function closeMenu(menu) {
    const hadFocus = menu.contains(document.activeElement);
    menu.open = false;
    if (hadFocus) menu.querySelector('summary').focus();
  }

  function closeMenus(except) {
    for (const menu of document.querySelectorAll('details.menu[open]')) if (menu !== except) closeMenu(menu);
  }

  on('keydown', (event) => {
    if (event.key === 'Escape') closeMenus();
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest('input, textarea, select, [contenteditable]')) return;
    const search = find('#search');
    if (!search) return;
    event.preventDefault();
    search.focus();
    search.select();
  });

  async function copy(button) {
    const text = button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // The clipboard is closed to pages without TLS; the old way is open.
      const field = document.createElement('textarea');
      field.value = text;
      field.className = 'sr';
      button.after(field);
      field.select();
      document.execCommand('copy');
      field.remove();
    }
    button.dataset.copied = '';
    setTimeout(() => button.removeAttribute('data-copied'), 1500);
  }

  on('click', (event) => {
    const { target } = event;
    // What is pressed by this script, to load more lines, is no reason to close anything.
    if (event.isTrusted) closeMenus(target.closest('details.menu'));
    const button = target.closest('[data-copy], [data-log], [data-dismiss]');
    if (!button) return;
    if (button.dataset.copy) copy(button);
    const list = logList();
    if (button.dataset.log && list) logActions[button.dataset.log](list);
    if ('dismiss' in button.dataset) {
      event.preventDefault();
      button.closest('.message').remove();
    }
  });

  // ── charts ──

  /** Which piece of which chart is pointed at; charts are drawn anew under it. */
  let pointed;
  /** What is selected to be zoomed to, in seconds since 1970, and where the pointer began to, while it is down. */
  let selected;
  let dragged;

  const leastZoom = 60;
  const dragFrom = 5;

  const tipsOf = (chart) => [...chart.querySelectorAll('.tip')];
  const percentOf = (tip) => Number.parseFloat(tip.getAttribute('x'));
  const widthOf = (tip) => Number.parseFloat(tip.getAttribute('width'));
  const middleOf = (tip) => percentOf(tip) + widthOf(tip) / 2;
  const chartOf = (target) => target.closest?.('.chart');

  /** Only keys ask to be told: what is drawn anew by itself says nothing. */
  const chartNews = document.createElement('p');
  chartNews.className = 'sr';
  chartNews.setAttribute('role', 'status');
  document.body.append(chartNews);

  function tell(text) {
    if (chartNews.textContent !== text) chartNews.textContent = text;
  }

  const textOf = (tip) => tip?.querySelector('title').textContent ?? '';

  /** Shows the values of the piece that is pointed at. */
  function showPointed() {
    for (const tip of document.querySelectorAll('.tip[data-at]')) delete tip.dataset.at;
    const card = pointed && document.getElementById(pointed.id);
    const tip = card && tipsOf(card).find((each) => percentOf(each) === pointed.x);
    if (tip) tip.dataset.at = '';
    for (const readout of document.querySelectorAll('.readout')) {
      const text = tip && card.contains(readout) ? textOf(tip) : '';
      if (readout.textContent !== text) readout.textContent = text;
    }
  }

  function point(chart, tip) {
    pointed = tip && { id: chart.parentElement.id, x: percentOf(tip) };
    showPointed();
  }

  const percentAt = (chart, clientX) => {
    const { left, width } = chart.getBoundingClientRect();
    return Math.min(100, Math.max(0, ((clientX - left) / width) * 100));
  };

  function pointAt({ target, clientX }) {
    const chart = chartOf(target);
    if (!chart) return pointed && !chartOf(document.activeElement) && point();
    const at = percentAt(chart, clientX);
    const [first, ...others] = tipsOf(chart);
    if (!first) return;
    const away = (tip) => Math.abs(middleOf(tip) - at);
    point(
      chart,
      others.reduce((best, tip) => (away(tip) < away(best) ? tip : best), first),
    );
  }

  /** The time that all charts of the page show. */
  function shownTime() {
    const { from, to } = find('#stats').dataset;
    return { from: Number(from), to: Number(to) };
  }

  function timeAt(percent) {
    const { from, to } = shownTime();
    return from + ((to - from) * percent) / 100;
  }

  /** Charts of one page zoom together, so all of them show it. */
  function showSelected() {
    for (const rect of document.querySelectorAll('.chart > .zoom')) rect.remove();
    if (!selected || !find('#stats')) return;
    const { from, to } = shownTime();
    const place = (at) => Math.min(100, Math.max(0, ((at - from) / (to - from)) * 100));
    for (const chart of document.querySelectorAll('#stats .chart')) {
      const rect = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
      const box = { class: 'zoom', x: `${place(selected.from)}%`, y: 12, height: 92 };
      box.width = `${place(selected.to) - place(selected.from)}%`;
      for (const [name, value] of Object.entries(box)) rect.setAttribute(name, value);
      chart.append(rect);
    }
  }

  function select(a, b) {
    selected = a === undefined ? undefined : { from: Math.min(a, b), to: Math.max(a, b) };
    showSelected();
  }

  /** Goes where the selection leads, like somebody who presses a link. */
  function zoom() {
    const link = find('#zoom-to');
    const more = Math.max(0, leastZoom - (selected.to - selected.from)) / 2;
    const url = new URL(link.href);
    url.search = new URLSearchParams({ from: Math.floor(selected.from - more), to: Math.ceil(selected.to + more) });
    link.setAttribute('href', url.pathname + url.search);
    selected = undefined;
    point();
    link.click();
  }

  on('pointermove', (event) => {
    if (!dragged) return pointAt(event);
    if (!dragged.chart.isConnected) return dropSelection();
    if (!selected && Math.abs(event.clientX - dragged.x) < dragFrom) return;
    select(dragged.at, timeAt(percentAt(dragged.chart, event.clientX)));
  });

  // A finger scrolls, and has the links.
  on('pointerdown', (event) => {
    pointAt(event);
    const chart = chartOf(event.target);
    select();
    if (!chart || event.button !== 0 || event.pointerType === 'touch') return;
    dragged = { chart, x: event.clientX, at: timeAt(percentAt(chart, event.clientX)) };
    chart.setPointerCapture(event.pointerId);
  });

  on('pointerup', () => {
    if (dragged && selected) zoom();
    dragged = undefined;
  });

  function dropSelection() {
    dragged = undefined;
    select();
  }

  on('pointercancel', dropSelection);

  on('focusout', ({ target }) => {
    if (!chartOf(target)) return;
    point();
    if (!dragged) select();
  });

  const clockOf = (seconds) => {
    const { from, to } = shownTime();
    const text = new Date(seconds * 1000).toISOString();
    return to - from > 2 * 86_400 ? text.slice(5, 16).replace('T', ' ') : text.slice(11, 19);
  };

  /** From the piece where it was begun to the one that is pointed at now. */
  function selectTo(tip, begun) {
    const half = (widthOf(tip) / 100 / 2) * (shownTime().to - shownTime().from);
    const [at, anchor] = [timeAt(middleOf(tip)), selected?.anchor ?? timeAt(middleOf(begun))];
    select(Math.min(at, anchor) - half, Math.max(at, anchor) + half);
    selected.anchor = anchor;
    tell(`Selected ${clockOf(selected.from)} to ${clockOf(selected.to)} UTC. Enter zooms, Escape drops it.`);
  }

  on('keydown', (event) => {
    const chart = chartOf(event.target);
    if (!chart) return;
    if (event.key === 'Escape') return selected ? dropSelection() : point();
    if (event.key === 'Enter' && selected) return zoom();
    const tips = tipsOf(chart);
    const now = pointed?.id === chart.parentElement.id ? tips.findIndex((tip) => percentOf(tip) === pointed.x) : -1;
    const last = tips.length - 1;
    const next = {
      ArrowLeft: now < 0 ? last : Math.max(0, now - 1),
      ArrowRight: now < 0 ? last : Math.min(last, now + 1),
      Home: 0,
      End: last,
    }[event.key];
    if (next === undefined || last < 0) return;
    event.preventDefault();
    point(chart, tips[next]);
    if (event.shiftKey) return selectTo(tips[next], tips[now < 0 ? next : now]);
    select();
    tell(textOf(tips[next]));
  });

  let isTableOpen = false;

  on(
    'toggle',
    ({ target }) => {
      if (target.matches('.chart-values')) isTableOpen = target.open;
    },
    true,
  );

  on('htmx:after:swap', () => {
    const table = find('.chart-values');
    if (table) table.open = isTableOpen;
    if (pointed) showPointed();
    if (selected) showSelected();
  });

  // ── begin ──

  if (mainSocket()) showStatus(find('#live-status'), 'reconnecting', 'connecting');
  prepareLogs();

  // ── passkeys ──

  /** Browsers tell these apart by name only. */
  const passkeyFaults = {
    NotAllowedError: 'Nothing was confirmed: it was cancelled, took too long, or there is no passkey for this address.',
    InvalidStateError: 'This device has a passkey of yours already.',
  };

  const knowsPasskeys = () => typeof globalThis.PublicKeyCredential?.parseCreationOptionsFromJSON === 'function';

  function showPasskeyForms() {
    if (!knowsPasskeys()) return;
    for (const form of document.querySelectorAll('form[data-passkey]')) form.hidden = false;
    for (const note of document.querySelectorAll('[data-needs-passkeys]')) note.hidden = true;
  }

  /** What the authenticator is asked for; a new passkey asks for the password first. */
  async function fetchPasskeyOptions({ dataset, elements }) {
    const body = new URLSearchParams({ current: elements.current?.value ?? '' });
    const request = dataset.passkey === 'create' ? { method: 'POST', body } : {};
    const answer = await fetch(dataset.options, { headers: { accept: 'application/json' }, ...request });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.detail);
    return told;
  }

  const askAuthenticator = ({ dataset }, options) =>
    dataset.passkey === 'create'
      ? navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
      : navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });

  async function answerWithPasskey(form) {
    const notice = form.querySelector('[role=alert]');
    notice.hidden = true;
    try {
      const { ticket, options } = await fetchPasskeyOptions(form);
      const credential = await askAuthenticator(form, options);
      form.elements.ticket.value = ticket;
      form.elements.response.value = JSON.stringify(credential.toJSON());
      form.submit();
    } catch (error) {
      notice.querySelector('p').textContent = passkeyFaults[error.name] ?? error.message;
      notice.hidden = false;
    }
  }

  on('submit', (event) => {
    if (!event.target.matches('form[data-passkey]')) return;
    event.preventDefault();
    void answerWithPasskey(event.target);
  });

  showPasskeyForms();
})();

/* Small islands over plain pages. Every page works without them: they tell whether it is live, mark what changed,
   follow logs, and shorten paths. */
(() => {
  const find = (selector) => document.querySelector(selector);
  const on = (event, handler, capture) => document.addEventListener(event, handler, capture);
  document.documentElement.dataset.js = '';

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
  const nearBottom = 24;
  let isFollowing = true;
  let isPaused = false;
  let wasAway = false;

  const logList = () => find('#log-lines');

  function lastCursor(list) {
    for (let line = list.lastElementChild; line; line = line.previousElementSibling) {
      if (line.dataset.cursor) return line.dataset.cursor;
    }
    return list.dataset.last;
  }

  /** The next connection begins right after the last line. Set after every message: not every reconnect is told. */
  function continueAfterLast(connection) {
    const list = logList();
    const cursor = list && lastCursor(list);
    if (!cursor) return;
    const url = new URL(connection.url);
    url.searchParams.set('since', cursor);
    connection.url = url.href;
  }

  /** Lines come wrapped, which is far cheaper for htmx; here they become children of the list. */
  function unwrap(list) {
    for (const batch of list.querySelectorAll('.log-batch')) batch.replaceWith(...batch.childNodes);
  }

  function trim(list) {
    while (list.childElementCount > maxLines) list.firstChild.remove();
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
    trim(list);
    if (isFollowing) scrollToEnd(list);
    else find('[data-log=bottom]')?.removeAttribute('hidden');
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

  on(
    'scroll',
    ({ target }) => {
      if (target.id !== 'log-lines') return;
      const isAtEnd = target.scrollTop + target.clientHeight >= target.scrollHeight - nearBottom;
      // While new lines come in, the list is away from its end for a moment without anybody having scrolled.
      if (!isAtEnd && !isScrolling && isFollowing) setFollowing(false);
      // Only who was away from the end and comes back wants to follow again; a switch that was just put off stays off.
      if (isAtEnd && wasAway && !isFollowing) setFollowing(true);
      else wasAway = !isAtEnd && !isFollowing;
    },
    true,
  );

  /** Somebody who scrolls up wants to read, even in the middle of a flood. */
  function stopFollowing({ target }) {
    if (isFollowing && target.closest?.('#log-lines')) setFollowing(false);
  }

  on('wheel', (event) => event.deltaY < 0 && stopFollowing(event), { passive: true });
  on('touchmove', stopFollowing, { passive: true });
  on('pointerdown', (event) => event.target.id === 'log-lines' && stopFollowing(event));
  on('keydown', (event) => ['ArrowUp', 'PageUp', 'Home'].includes(event.key) && stopFollowing(event));

  const storageKey = 'fairlead-log';

  function readChoices() {
    try {
      return JSON.parse(localStorage.getItem(storageKey)) ?? {};
    } catch {
      return {};
    }
  }

  function keepChoice(name, value) {
    try {
      localStorage.setItem(storageKey, JSON.stringify({ ...readChoices(), [name]: value }));
    } catch {
      // Without storage a choice lasts as long as the page.
    }
  }

  function applyChoice(list, name, value) {
    list.dataset[name] = value;
    find(`[data-log=${name}]`)?.setAttribute('aria-pressed', String(value === 'on'));
  }

  function flip(list, name) {
    const value = list.dataset[name] === 'on' ? 'off' : 'on';
    applyChoice(list, name, value);
    keepChoice(name, value);
    if (isFollowing) scrollToEnd(list);
  }

  /** Closes the viewer's socket, or opens it again right after the last line. */
  function setPaused(value) {
    isPaused = value;
    find('[data-log=pause]')?.setAttribute('aria-pressed', String(value));
    htmx.process(find('#log-live'), true);
    if (value) showStatus(find('#log-state'), 'reconnecting', 'paused');
  }

  const logActions = {
    time: (list) => flip(list, 'time'),
    wrap: (list) => flip(list, 'wrap'),
    follow: (list) => {
      setFollowing(!isFollowing);
      if (isFollowing) scrollToEnd(list);
    },
    bottom: (list) => {
      setFollowing(true);
      scrollToEnd(list);
    },
    pause: () => setPaused(!isPaused),
    clear: (list) => {
      list.dataset.last = lastCursor(list) ?? '';
      list.replaceChildren();
      setFollowing(true);
    },
  };

  /** Prepares a viewer that has just come into the page. */
  function prepareLogs() {
    const list = logList();
    if (!list || list.prepared === list.dataset.placeholder + location.href) return;
    list.prepared = list.dataset.placeholder + location.href;
    const choices = readChoices();
    for (const name of ['time', 'wrap']) if (choices[name]) applyChoice(list, name, choices[name]);
    isPaused = false;
    setFollowing(true);
    scrollToEnd(list);
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

  /** Nothing else of a form can be pressed while it is at work. What was pressed keeps the focus, and is dropped again. */
  function disable(form, pressed) {
    const others = [...form.querySelectorAll('button:enabled')].filter((button) => button !== pressed);
    for (const button of others) button.disabled = true;
    pressed?.setAttribute('aria-disabled', 'true');
    return () => {
      for (const button of others) button.disabled = false;
      pressed?.removeAttribute('aria-disabled');
    };
  }

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

  const wordOf = (place) => place?.querySelector('.state .word, .count .running');

  on('htmx:before:request', ({ detail: { ctx } }) => {
    if (ctx.request.method !== 'POST') return;
    const button = ctx.request.submitter;
    const place = ctx.sourceElement.closest('tr, #container-head, #project-page');
    place?.setAttribute('aria-busy', 'true');
    button?.setAttribute('aria-busy', 'true');
    const menu = button?.closest('details');
    if (menu) closeMenu(menu);
    const word = wordOf(place);
    const release = disable(ctx.sourceElement, button);
    ctx.undo = () => {
      release();
      const now = place?.id ? document.getElementById(place.id) : place;
      now?.removeAttribute('aria-busy');
      for (const busy of [button, ...(now?.querySelectorAll('button[aria-busy]') ?? [])])
        busy?.removeAttribute('aria-busy');
      if (word && word.textContent === ctx.verb) word.textContent = ctx.before;
    };
    if (!word || !button?.dataset.busy) return;
    ctx.before = word.textContent;
    ctx.verb = button.dataset.busy;
    word.textContent = ctx.verb;
  });

  on('htmx:finally:request', ({ detail: { ctx } }) => ctx.undo?.());

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
    closeMenus(target.closest('details.menu'));
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

  // ── begin ──

  if (mainSocket()) showStatus(find('#live-status'), 'reconnecting', 'connecting');
  prepareLogs();
})();

const LOG_ROW = 18;
const LOG_TALLEST = 15e6; // browsers end somewhat above
const LOG_PAGE = 200;

/**
 * A log, for a kernel side with LogCalls. `host`: where it goes, inside a root(); `link`: link(model).
 * options: {height: pixels, label}. Returns {element, focus, close}.
 */
function logPane(host, link, { height = 360, label = "log" } = {}) {
  const folds = new LogFolds();
  const cache = new LogCache();
  const state = { total: 0, settled: 0, size: 0, began: null, running: true, seq: -1 };
  const chosen = new LogChosen();
  const view = { times: "off", began: null, hit: null, folds, chosen, total: 0, onfold, onmore };
  let top = 0; // the first row shown, with a fraction
  let follow = true;
  let wrap = false;
  let passed = 0; // lines that went by between two pushes
  let version = 0;
  let placed = 0;
  let drawn = new Map();
  let asking = false;
  let frame = 0;
  let closed = false;

  const rows = el("div", { class: "log-rows mono" });
  const space = el("div", { class: "log-space" }, rows);
  const scroller = el("div", { class: "log-scroll", role: "log", "aria-live": "off", "aria-label": label, tabindex: "0", style: `height:${height}px` }, space);
  const bar = logBar(link, { view, onfollow: setFollow, onwrap, ontimes, onfoldall, onfound, copied, chosen, where });
  const choosing = logChoosing(rows, chosen, chose);
  const element = el("div", { class: "log-pane" }, bar.element, scroller, bar.foot);
  host.append(element);

  // -- where we are
  const tall = () => scroller.clientHeight || height;
  const lastTop = () => Math.max(0, wrap ? folds.rows - 1 : folds.rows - tall() / LOG_ROW);
  const spaceHeight = () => Math.min(LOG_TALLEST, folds.rows * LOG_ROW + (wrap ? tall() - LOG_ROW : 0));
  function place() {
    space.style.height = `${Math.max(spaceHeight(), 1)}px`;
    const room = scroller.scrollHeight - scroller.clientHeight;
    scroller.scrollTop = lastTop() ? (follow ? room : (top / lastTop()) * room) : 0;
    placed = scroller.scrollTop;
  }
  function go(row, keep = false) {
    if (!keep) setFollow(row >= lastTop());
    top = Math.min(Math.max(0, row), lastTop());
    place();
    draw();
  }
  function scrolled() {
    if (Math.abs(scroller.scrollTop - placed) < 1) return;
    placed = scroller.scrollTop;
    const room = scroller.scrollHeight - scroller.clientHeight;
    setFollow(room - placed < 2);
    top = room > 0 ? (placed / room) * lastTop() : 0;
    draw();
  }
  function wheeled(event) {
    // Where the bar stands for more rows than it has pixels, one turn of the wheel would skip lines.
    if (spaceHeight() < LOG_TALLEST || event.ctrlKey || event.shiftKey || !event.deltaY) return;
    event.preventDefault();
    go((follow ? lastTop() : top) + (event.deltaMode ? event.deltaY : event.deltaY / LOG_ROW));
  }
  function where() {
    return folds.numberAt(Math.min(Math.ceil(follow ? lastTop() : top), Math.max(0, folds.rows - 1)));
  }

  // -- drawing
  function draw() {
    if (!frame && !closed) frame = requestAnimationFrame(paint);
  }
  function paint() {
    frame = 0;
    view.total = state.total;
    view.began = state.began;
    const fits = Math.ceil(tall() / LOG_ROW) + 1;
    const first = Math.max(0, Math.floor(follow ? (wrap ? folds.rows - fits : lastTop()) : top));
    const fresh = new Map();
    let missing = null;
    for (let row = first; row < Math.min(first + fits, folds.rows); row++) {
      const number = folds.numberAt(row);
      const line = cache.get(number);
      if (!line) missing ??= number;
      // A growing fold says how long it is.
      const grows = folds.at(number).some((fold) => fold.last === null) ? state.total : 0;
      const key = `${version} ${grows} ${view.hit?.number === number ? view.hit.at : ""} ${chosen.has(number)}`;
      const old = drawn.get(number);
      fresh.set(number, old && old.line === line && old.key === key ? old : { line, key, node: logRow(number, line, view) });
    }
    choosing.keep((number) => fresh.has(number));
    logLay(rows, [...fresh.values()].map(({ node }) => node));
    drawn = fresh;
    const part = (follow ? lastTop() : top) - first;
    const length = rows.lastChild ? rows.lastChild.offsetTop + rows.lastChild.offsetHeight - rows.firstChild.offsetTop : 0;
    const shift = follow && wrap ? Math.max(0, length - tall()) : part * (wrap ? (rows.firstChild?.offsetHeight ?? 0) : LOG_ROW);
    rows.style.height = `${tall()}px`;
    rows.style.setProperty("--log-shift", `${-shift}px`);
    rows.style.setProperty("--log-digits", `${String(state.total).length}ch`);
    bar.show({ ...state, passed, follow, wrap, folds: folds.count + folds.open.length });
    if (missing !== null) fetchLines(missing);
  }

  // -- from the kernel
  async function fetchLines(number) {
    if (asking) return; // asked again when the answer is painted
    asking = true;
    try {
      const settled = state.settled;
      const answer = await link.call("log_lines", { first: Math.max(1, number - (follow ? 0 : 20)), count: LOG_PAGE });
      cache.put(answer.lines, settled);
      // Nothing where there should be something: not at once again.
      if (!cache.get(number)) await (answer.lines.length ? link.call("log_lines", { first: number, count: 50 }).then((more) => cache.put(more.lines)) : new Promise((done) => setTimeout(done, 200)));
    } catch (error) {
      bar.say(error.message);
      await new Promise((done) => setTimeout(done, 1000));
    }
    asking = false;
    draw();
  }
  async function heard(value) {
    if (closed || (value.seq <= state.seq && value.total <= state.total && value.running === state.running)) return;
    const lines = value.lines ?? [];
    if (follow && lines.length && state.seq >= 0) passed += Math.max(0, lines[0].n - state.total - 1);
    const ended = state.running && !value.running;
    const fresh = state.seq < 0;
    cache.forgetUnsettled();
    Object.assign(state, value, { lines: undefined, folds: undefined });
    cache.put(lines, value.settled);
    folds.update(value.total, value.open);
    // What is over and short takes no more room than it needs; a line more for the bar that scrolls sideways.
    if (fresh && !value.running) scroller.style.height = `${Math.min(height, Math.max(2, value.total + 1) * LOG_ROW)}px`;
    if (ended) bar.say(`the log is complete: ${logLines(value.total)}`);
    place();
    draw();
    bar.grown(ended);
    await foldsUpTo(value.folds);
  }
  let folding = false;
  async function foldsUpTo(count) {
    if (folding || folds.count >= count) return;
    folding = true;
    try {
      while (folds.count < count) {
        const more = await link.call("log_folds", { start: folds.count });
        if (!more.length) break;
        folds.add(more);
      }
      folds.update(state.total, state.open ?? []);
      place();
      draw();
    } catch (error) {
      bar.say(error.message);
    }
    folding = false;
  }

  // -- what people do
  function setFollow(on) {
    if (on === follow) return;
    if (!on) top = Math.min(lastTop(), wrap ? Math.max(0, folds.rows - Math.floor(tall() / LOG_ROW)) : lastTop());
    follow = on;
    if (on) place();
    draw();
  }
  function changed() {
    version += 1;
    place();
    draw();
  }
  function onwrap(on) {
    wrap = on;
    if (wrap) scroller.style.height = `${Math.max(tall(), height)}px`;
    element.classList.toggle("log-wrap", on);
    top = Math.min(top, lastTop());
    changed();
  }
  function ontimes(mode) {
    view.times = mode;
    changed();
  }
  function onfold(fold) {
    const row = folds.rowOf(fold.first);
    const above = row - top;
    folds.toggle(fold);
    version += 1;
    if (follow) changed();
    else go(folds.rowOf(fold.first) - above, true);
  }
  function onfoldall(on) {
    const number = where();
    folds.all(on);
    version += 1;
    if (follow) changed();
    else go(folds.rowOf(number), true);
  }
  async function onmore(line) {
    const { lines } = await link.call("log_line", { number: line.n });
    cache.put(lines);
    draw();
  }
  function onfound(hit) {
    view.hit = hit && { ...hit, at: (view.hit?.at ?? 0) + 1 };
    version += hit ? 0 : 1;
    if (!hit) return draw();
    folds.reveal(hit.number);
    setFollow(false);
    go(folds.rowOf(hit.number) - Math.floor(tall() / LOG_ROW / 2), true);
  }
  const selected = () => {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && scroller.contains(selection.anchorNode) ? selection : null;
  };
  function copied() {
    const selection = selected();
    if (selection) return selection.toString();
    return [...drawn.values()].filter(({ line }) => line).map(({ line }) => logText(line)).join("\n");
  }
  function chose() {
    setFollow(false);
    bar.say(chosen.any ? `${chosen.words} chosen` : "nothing chosen");
    draw();
  }
  function choose(step) {
    const head = folds.rowOf(chosen.any ? chosen.head : where());
    const row = Math.min(Math.max(0, head + step), folds.rows - 1);
    if (!chosen.any) chosen.begin(folds.numberAt(head));
    chosen.extend(step === Infinity ? state.total : folds.numberAt(row));
    chose();
    if (row < top) go(row, true);
    else if (row > top + page() - 1) go(row - page() + 1, true);
  }
  function chooseAll() {
    if (!state.total) return;
    chosen.begin(1);
    chosen.extend(state.total);
    chose();
  }
  function chooseNone() {
    if (!chosen.any) return;
    chosen.clear();
    chose();
  }
  const page = () => Math.max(1, Math.floor(tall() / LOG_ROW) - 1);
  const now = () => (follow ? lastTop() : top);
  logKeys(scroller, bar, {
    up: () => go(Math.ceil(now()) - 1),
    down: () => go(Math.floor(now()) + 1),
    pageUp: () => go(now() - page()),
    pageDown: () => go(now() + page()),
    home: () => go(0),
    end: () => setFollow(true),
    follow: () => setFollow(!follow),
    page,
    choose,
    chooseAll,
    chooseNone,
  });
  const selecting = () => {
    if (follow && selected()) setFollow(false);
  };
  document.addEventListener("selectionchange", selecting);
  scroller.addEventListener("copy", (event) => {
    if (!chosen.any || selected()) return;
    event.preventDefault();
    bar.copy();
  });
  scroller.addEventListener("scroll", scrolled, { passive: true });
  scroller.addEventListener("wheel", wheeled);
  const watcher = new ResizeObserver(() => {
    place();
    draw();
  });
  watcher.observe(scroller);
  link.on("log", heard);
  folds.update(0, []);
  link.call("log_state").then(heard, (error) => bar.say(error.message));

  return {
    element,
    focus: () => scroller.focus(),
    close() {
      closed = true;
      cancelAnimationFrame(frame);
      watcher.disconnect();
      bar.close();
      document.removeEventListener("selectionchange", selecting);
    },
  };
}

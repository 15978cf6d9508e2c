// Lines of a tree on the screen: only those in sight are in the page. The focus stays on the grid, which names its line.
const LINE = 22;
const HEAD = 24;
// Browsers lose precision in taller elements; beyond it scrolling is scaled.
const TALLEST = 15e6;
const EAGER_ENTRIES = 5000;
let grids = 0;

/** A treegrid over state.top. deps: call (to the kernel), act (line opened), chosen (line moved to), sort, failed, marked, needles. */
function treeGrid(state, deps) {
  const uid = `tb-tree-${++grids}`;
  const titles = ["name", "kind", "size", "entries", "x", "digest", ...(deps.marked ? ["notes"] : [])];
  const head = headLine(titles, deps.sort);
  const space = el("div", { class: "space", role: "rowgroup" });
  const grid = el("div", { class: deps.marked ? "grid marked" : "grid", role: "treegrid", tabindex: 0, "aria-label": deps.label, "aria-describedby": deps.help, "aria-colcount": titles.length }, el("div", { role: "rowgroup", class: "heads" }, head), space);
  const asked = new Set();
  let scheduled = false;
  let shown = [];
  let busy = false;
  let enough = false;
  let pressed = false;

  const height = () => Math.max(LINE, (grid.clientHeight || 440) - HEAD);
  const tall = () => state.top.total * LINE;
  /** The pixel of the whole tree that is at the top, and back. */
  const scale = () => (tall() > TALLEST ? (tall() - height()) / (TALLEST - height()) : 1);

  function draw() {
    scheduled = false;
    const total = state.top.total;
    space.style.height = `${Math.min(tall(), TALLEST)}px`;
    grid.style.height = `${Math.min(20 * LINE + HEAD, total * LINE + HEAD + 2)}px`;
    grid.setAttribute("aria-rowcount", total + 1);
    const pixel = grid.scrollTop * scale();
    const first = Math.max(0, Math.floor(pixel / LINE) - 3);
    const last = Math.min(total, Math.ceil((pixel + height()) / LINE) + 3);
    const lines = [];
    for (let line = first; line < last; line++) lines.push(line);
    // The line that has the focus stays in the page, or a screen reader would lose it.
    if (state.line < total && (state.line < first || state.line >= last)) lines.push(state.line);
    shown = lines.map((line) => ({ line, ...locate(state.top, line) }));
    const look = (line) => ({ uid, top: line * LINE - pixel + grid.scrollTop, active: line === state.line, marked: deps.marked });
    space.replaceChildren(...shown.map((place) => lineElement(place, look(place.line))));
    markOrder(head, state.order);
    if (total) grid.setAttribute("aria-activedescendant", `${uid}-${state.line}`);
    else grid.removeAttribute("aria-activedescendant");
    fetchMissing();
  }

  const refresh = () => {
    if (!scheduled) {
      scheduled = true;
      if (!pressed) requestAnimationFrame(draw);
    }
  };

  // A line that is replaced between the button's going down and up is not what the browser says was clicked.
  const released = () => {
    pressed = false;
    if (scheduled) requestAnimationFrame(draw);
  };
  space.addEventListener("pointerdown", () => {
    pressed = true;
    for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, released, { once: true });
  });

  /** Ask for the pages in sight; two at a time, so that a fast scroll does not leave a queue behind. */
  function fetchMissing() {
    const near = new Map();
    for (const { folder, index } of shown) {
      const number = Math.floor(index / PAGE);
      if (!near.has(folder)) near.set(folder, new Set());
      near.get(folder).add(number);
      // What could not be read once is not asked for again at every frame: folding and opening does.
      if (folder.pages.has(number) || folder.failed || asked.size >= 2) continue;
      const key = `${folder.at}:${number}`;
      if (asked.has(key)) continue;
      asked.add(key);
      const answer = deps.call("page", { at: folder.at, start: number * PAGE, order: state.order });
      const failed = (error) => {
        folder.failed = error.message;
        deps.failed(error);
      };
      answer.then((data) => fill(folder, data), failed).finally(() => {
        asked.delete(key);
        refresh();
      });
    }
    for (const [folder, numbers] of near) forget(folder, numbers);
    if (!asked.size && !busy) lookAround();
  }

  /** What is found out of the rows in sight while nobody waits: bytes below, needles. */
  async function lookAround() {
    busy = true;
    try {
      if ((await sumVisible()) || (await markVisible())) refresh();
    } catch (error) {
      deps.failed(error);
    } finally {
      busy = false;
    }
  }

  /** The needles of the rows in sight; whether there is something new to draw. */
  async function markVisible() {
    if (!deps.needles || enough || !grid.isConnected) return false;
    const places = shown.filter(({ folder, index }) => rowAt(folder, index) && !rowAt(folder, index).looked);
    if (!places.length) return false;
    const rows = places.map(({ folder, index }) => rowAt(folder, index));
    const answer = await deps.call("marks", { at: places.map(({ folder, index }) => placeOf(folder, index)) });
    enough = answer.enough;
    rows.forEach((row, i) => {
      if (answer.found[i]) row.needles = answer.found[i];
      if (answer.failed[i]) row.problem = answer.failed[i];
      row.looked = !!(answer.found[i] || answer.failed[i]);
    });
    return true;
  }

  /** Bytes below the folders in sight that are small enough not to be noticed; others when somebody asks. */
  async function sumVisible() {
    const next = shown.find(({ folder, index }) => {
      const row = rowAt(folder, index);
      return row && row.entries !== undefined && row.below === undefined && row.entries <= EAGER_ENTRIES && !row.problem;
    });
    if (!next || !grid.isConnected) return false;
    await sum(next.folder, next.index);
    return true;
  }

  async function sum(folder, index) {
    const row = rowAt(folder, index);
    try {
      const at = placeOf(folder, index);
      let below = null;
      while (below === null && grid.isConnected) below = await deps.call("total", { at });
      if (below !== null) row.below = below;
    } catch (error) {
      row.problem = `below: ${error.message}`;
    }
    return row.below;
  }

  function moveTo(line) {
    state.line = Math.max(0, Math.min(state.top.total - 1, line));
    const y = state.line * LINE;
    const pixel = grid.scrollTop * scale();
    let wanted = pixel;
    if (y < pixel) wanted = y;
    else if (y + LINE > pixel + height()) wanted = y + LINE - height();
    if (wanted !== pixel) grid.scrollTop = wanted / scale();
    draw();
    deps.chosen();
  }

  const current = () => (state.top.total ? locate(state.top, state.line) : null);

  async function toggle(folder, index, wanted) {
    const open = !!openAt(folder, index);
    if (!isFolder(rowAt(folder, index)) || open === wanted) return;
    if (open) collapse(folder, index);
    else {
      try {
        const row = rowAt(folder, index);
        const at = placeOf(folder, index);
        const data = await deps.call("page", { at, start: 0, order: state.order });
        expand(folder, index, data, at);
        delete row.problem;
      } catch (error) {
        rowAt(folder, index).problem = error.message;
      }
    }
    refresh();
  }

  const lineUnder = (event) => event.target.closest?.("[data-line]")?.dataset.line;
  space.addEventListener("click", (event) => {
    const line = lineUnder(event);
    if (line === undefined) return;
    const twisty = event.target.classList.contains("twisty");
    moveTo(Number(line));
    const { folder, index } = current();
    if (twisty) toggle(folder, index);
    else if (!isFolder(rowAt(folder, index))) deps.act(folder, index);
  });
  space.addEventListener("dblclick", (event) => {
    const { folder, index } = current();
    if (lineUnder(event) !== undefined && isFolder(rowAt(folder, index)) && !event.target.classList.contains("twisty")) toggle(folder, index);
  });
  grid.addEventListener("scroll", refresh);
  const made = { grid, draw, refresh, moveTo, current, sum, toggle, page: () => Math.max(1, Math.floor(height() / LINE) - 1) };
  treeKeys(state, made, deps);
  return made;
}

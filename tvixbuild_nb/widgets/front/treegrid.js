// Lines of a tree on the screen: only those in sight are in the page. The focus stays on the grid, which names its line.
const LINE = 22;
const HEAD = 24;
// Browsers lose precision in taller elements; beyond it scrolling is scaled.
const TALLEST = 15e6;
const EAGER_ENTRIES = 5000;
const CHANGES = { added: "+ added", removed: "− removed", changed: "~ changed", inside: "~ inside" };
let grids = 0;

/** A treegrid over state.top. deps: call (to the kernel), act (line opened), chosen (line moved to), failed, marked. */
function treeGrid(state, deps) {
  const uid = `tb-tree-${++grids}`;
  const titles = ["name", "kind", "size", "entries", "x", "digest", ...(deps.marked ? ["notes"] : [])];
  const head = el("div", { class: "tr th", role: "row", "aria-rowindex": 1 }, titles.map((title) => el("span", { role: "columnheader", class: `c-${title}`, ...(title === "x" ? { "aria-label": "executable" } : {}) }, title)));
  const space = el("div", { class: "space", role: "rowgroup" });
  const grid = el("div", { class: deps.marked ? "grid marked" : "grid", role: "treegrid", tabindex: 0, "aria-label": deps.label, "aria-describedby": deps.help, "aria-colcount": titles.length }, el("div", { role: "rowgroup", class: "heads" }, head), space);
  const asked = new Set();
  let scheduled = false;
  let shown = [];
  let summing = false;

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
    space.replaceChildren(...shown.map((place) => lineElement(place, place.line * LINE - pixel + grid.scrollTop)));
    if (total) grid.setAttribute("aria-activedescendant", `${uid}-${state.line}`);
    else grid.removeAttribute("aria-activedescendant");
    fetchMissing();
  }

  function lineElement({ line, folder, index }, y) {
    const row = rowAt(folder, index);
    const opened = openAt(folder, index);
    const props = {
      class: `tr${line === state.line ? " active" : ""}${row?.change ? ` ${row.change}` : ""}`, role: "row", id: `${uid}-${line}`, style: `top:${y}px`,
      "aria-level": folder.level + 1, "aria-setsize": folder.count, "aria-posinset": index + 1, "aria-rowindex": line + 2, "aria-selected": line === state.line ? "true" : "false",
      "aria-expanded": isFolder(row) ? String(!!opened) : undefined,
    };
    const node = el("div", props, row ? cells(row, folder, opened) : el("span", { role: "gridcell", class: "dim", "aria-busy": "true" }, "…"));
    node.dataset.line = line;
    return node;
  }

  function cells(row, folder, opened) {
    const cell = (name, ...children) => el("span", { role: "gridcell", class: `c-${name}` }, ...children);
    const twisty = el("span", { class: "twisty", "aria-hidden": "true" }, isFolder(row) ? (opened ? "▾" : "▸") : "");
    const name = el("span", { class: `name ${row.kind}`, title: row.name }, row.name + (row.target !== undefined ? ` → ${row.target}` : ""));
    const first = cell("name", twisty, name);
    first.style.paddingLeft = `${Math.min(folder.level, 30) * 14}px`;
    const size = row.size ?? row.below;
    const all = [
      first, cell("kind", row.kind), cell("size", size === undefined ? "" : humanBytes(size)), cell("entries", row.entries === undefined ? "" : row.entries.toLocaleString("en")),
      cell("x", row.executable ? el("span", { title: "executable", "aria-label": "executable", role: "img" }, "✓") : ""), cell("digest", row.digest ?? ""),
    ];
    if (deps.marked) {
      const notes = [CHANGES[row.change], row.used, row.needles && `holds ${row.needles.join(", ")}`].filter(Boolean).join("; ");
      all.push(el("span", { role: "gridcell", class: "c-notes", title: notes }, notes));
    }
    return all;
  }

  const refresh = () => {
    if (!scheduled) {
      scheduled = true;
      requestAnimationFrame(draw);
    }
  };

  /** Ask for the pages in sight; two at a time, so that a fast scroll does not leave a queue behind. */
  function fetchMissing() {
    const near = new Map();
    for (const { folder, index } of shown) {
      const number = Math.floor(index / PAGE);
      if (!near.has(folder)) near.set(folder, new Set());
      near.get(folder).add(number);
      const key = `${folder.at}:${number}`;
      if (folder.pages.has(number) || asked.has(key) || asked.size >= 2) continue;
      asked.add(key);
      const answer = deps.call("page", { at: folder.at, start: number * PAGE });
      answer.then((data) => fill(folder, data), deps.failed).finally(() => {
        asked.delete(key);
        refresh();
      });
    }
    for (const [folder, numbers] of near) forget(folder, numbers);
    if (!asked.size && !summing) sumVisible();
  }

  /** Bytes below the folders in sight that are small enough not to be noticed; others when somebody asks. */
  async function sumVisible() {
    const next = shown.find(({ folder, index }) => {
      const row = rowAt(folder, index);
      return row && row.entries !== undefined && row.below === undefined && row.entries <= EAGER_ENTRIES && !row.failed;
    });
    if (!next || !grid.isConnected) return;
    summing = true;
    await sum(next.folder, next.index);
    summing = false;
    refresh();
  }

  async function sum(folder, index) {
    const row = rowAt(folder, index);
    try {
      const at = placeOf(folder, index);
      let below = null;
      while (below === null && grid.isConnected) below = await deps.call("total", { at });
      if (below !== null) row.below = below;
    } catch {
      row.failed = true; // said where it is looked at
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
        expand(folder, index, await deps.call("page", { at: placeOf(folder, index), start: 0 }));
      } catch (error) {
        deps.failed(error);
      }
    }
    refresh();
  }

  let typed = "";
  let typedAt = 0;
  async function typeAhead(key) {
    const now = performance.now();
    typed = now - typedAt > 900 ? key : typed + key;
    typedAt = now;
    let { folder, index } = current();
    const wanted = typed;
    // The same letter again and again goes from one to the next.
    const same = [...typed].every((letter) => letter === typed[0]);
    const after = same || typed.length === 1 ? index : index - 1;
    let found = null;
    if (folder.loose) {
      const rows = folder.pages.size ? [...folder.pages.values()].flat() : [];
      const fits = (row) => row.name.toLowerCase().startsWith(wanted.toLowerCase());
      found = rows.findIndex((row, i) => i > after && fits(row));
      if (found < 0) found = rows.findIndex(fits);
      if (found < 0) found = null;
    } else found = await deps.call("jump", { at: folder.at, prefix: same ? typed[0] : wanted, after });
    const inside = openAt(folder, index);
    if (found === null && inside) {
      // No sibling of that name: perhaps what is open below it.
      folder = inside;
      found = await deps.call("jump", { at: folder.at, prefix: wanted, after: -1 });
    }
    if (found !== null && wanted === typed) moveTo(lineOf(folder, found));
  }

  const page = () => Math.max(1, Math.floor(height() / LINE) - 1);
  grid.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !state.top.total) return;
    const { folder, index } = current();
    const row = rowAt(folder, index);
    const opened = openAt(folder, index);
    const keys = {
      ArrowDown: () => moveTo(state.line + 1),
      ArrowUp: () => moveTo(state.line - 1),
      PageDown: () => moveTo(state.line + page()),
      PageUp: () => moveTo(state.line - page()),
      Home: () => moveTo(0),
      End: () => moveTo(state.top.total - 1),
      ArrowRight: () => (opened ? opened.count && moveTo(state.line + 1) : toggle(folder, index, true)),
      ArrowLeft: () => (opened ? toggle(folder, index, false) : folder.parent && moveTo(lineOf(folder.parent, folder.index))),
      Enter: () => (isFolder(row) && !event.shiftKey ? toggle(folder, index) : deps.act(folder, index)),
      " ": () => deps.act(folder, index),
      Escape: () => deps.close(),
    };
    if (event.key !== " " && event.key.length === 1) typeAhead(event.key).catch(deps.failed);
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  });
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
  return { grid, draw, refresh, moveTo, current, sum };
}

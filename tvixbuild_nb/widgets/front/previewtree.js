// A configuration as a folding tree (WAI-ARIA tree): rows come from the kernel, one for each part that can be seen.

/** The tree: {node, show(rows), select(path), selected()}; actions: open(path), fold(path), chosen(path). */
function configTree(actions) {
  const node = el("div", { role: "tree", "aria-label": "config.json", class: "preview-tree mono" });
  let rows = [];
  let lines = new Map();
  let current = "";
  let found = new Set();

  const line = (row, siblings) => {
    const mark = row.open === null ? "" : row.open ? "▾" : "▸";
    const twist = el("span", { class: "twist", "aria-hidden": "true" }, mark);
    const name = el("span", { class: "name" }, row.name);
    const text = el("span", { class: row.open === null ? "value" : "value dim" }, row.text);
    const marks = row.marks.map((mark) => el("span", { class: "mark warn", title: `not as Tvix: ${mark}` }, `≠ ${mark}`));
    const changed = row.changed ? [el("span", { class: "mark good" }, "changed")] : [];
    const item = el(
      "div",
      {
        role: "treeitem",
        class: `row${row.changed ? " changed" : ""}${found.has(row.path) ? " found" : ""}`,
        "aria-level": row.level,
        "aria-expanded": row.open === null ? undefined : String(row.open),
        "aria-selected": String(row.path === current),
        "aria-setsize": siblings.size,
        "aria-posinset": siblings.position,
        tabindex: row.path === current ? 0 : -1,
        style: `padding-left:${(row.level - 1) * 16 + 2}px`,
      },
      twist, name, row.text === "" ? "" : ": ", text, marks, changed,
    );
    item.addEventListener("click", (event) => {
      select(row.path, true);
      if (row.open !== null && (event.target === twist || event.detail === 2)) toggle(row);
    });
    return item;
  };

  const toggle = (row) => (row.open ? actions.fold(row.path) : actions.open(row.path));

  const select = (path, focus) => {
    for (const [at, item] of lines) {
      const here = at === path;
      item.setAttribute("aria-selected", String(here));
      item.tabIndex = here ? 0 : -1;
      if (here && focus) item.focus();
      if (here) item.scrollIntoView({ block: "nearest" });
    }
    current = path;
    actions.chosen(path);
  };

  const show = (next, hits) => {
    const held = node.contains(document.activeElement);
    rows = next;
    found = new Set(hits);
    if (!rows.some((row) => row.path === current)) current = rows.length ? rows[0].path : "";
    const places = siblingPlaces(rows);
    lines = new Map(rows.map((row, index) => [row.path, line(row, places[index])]));
    const top = node.scrollTop;
    node.replaceChildren(...lines.values());
    node.scrollTop = top;
    if (held) lines.get(current)?.focus({ preventScroll: true });
  };

  node.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const index = rows.findIndex((row) => row.path === current);
    const row = rows[index];
    if (!row) return;
    const step = (to) => rows[to] && select(rows[to].path, true);
    const keys = {
      ArrowDown: () => step(index + 1),
      ArrowUp: () => step(index - 1),
      Home: () => step(0),
      End: () => step(rows.length - 1),
      ArrowRight: () => (row.open === false ? actions.open(row.path) : row.open && step(index + 1)),
      ArrowLeft: () => (row.open ? actions.fold(row.path) : row.level > 1 && select(parentOf(row.path), true)),
      Enter: () => row.open !== null && toggle(row),
      " ": () => row.open !== null && toggle(row),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  return { node, show, select, selected: () => current };
}

function parentOf(path) {
  return path.slice(0, path.lastIndexOf("/"));
}

/** Everything that holds a part, the outermost first. */
function ancestorsOf(path) {
  const found = [];
  while (path) found.unshift((path = parentOf(path)));
  return found;
}

/** For each row: how many brothers and sisters it has, and the how-manieth it is. */
function siblingPlaces(rows) {
  const counts = new Map();
  const positions = rows.map((row) => {
    const key = row.level === 1 ? "root" : parentOf(row.path);
    counts.set(key, (counts.get(key) ?? 0) + 1);
    return [key, counts.get(key)];
  });
  return positions.map(([key, position]) => ({ size: counts.get(key), position }));
}

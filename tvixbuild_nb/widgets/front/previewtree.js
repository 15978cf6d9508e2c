// A configuration as a folding tree (WAI-ARIA tree): rows come from the kernel, one for each part that can be seen.

/** The tree: {node, show(rows), select(key, focus), selected()}; actions: toggle(path), turn(path, page), chosen(row). */
function configTree(actions) {
  const node = el("div", { role: "tree", "aria-label": "config.json", class: "preview-tree mono" });
  let rows = [];
  let lines = new Map();
  let current = "";
  let found = new Set();

  const marksOf = (row) => [
    ...row.marks.map((mark) => el("span", { class: "mark warn", title: `not as Tvix: ${mark}` }, `≠ ${mark}`)),
    row.changed && el("span", { class: "mark good" }, "changed"),
    row.removed !== undefined && el("span", { class: "mark bad" }, "removed"),
  ].filter(Boolean);
  const classOf = (row) => {
    const kinds = { changed: row.changed, removed: row.removed !== undefined, found: !row.aside && found.has(row.path) };
    return ["row", ...Object.keys(kinds).filter((kind) => kinds[kind])].join(" ");
  };

  const line = (row, siblings) => {
    const key = keyOf(row);
    const mark = row.open === null ? "" : row.open ? "▾" : "▸";
    const twist = el("span", { class: "twist", "aria-hidden": "true" }, mark);
    const name = el("span", { class: "name" }, row.name);
    const text = el("span", { class: row.open === null && !row.aside ? "value" : "value dim" }, row.text);
    const item = el(
      "div",
      {
        role: "treeitem",
        class: classOf(row),
        "aria-level": row.level,
        "aria-expanded": row.open === null ? undefined : String(row.open),
        "aria-selected": String(key === current),
        "aria-setsize": siblings.size,
        "aria-posinset": siblings.position,
        tabindex: key === current ? 0 : -1,
        style: `padding-left:${(row.level - 1) * 16 + 2}px`,
      },
      twist, name, row.text === "" ? "" : ": ", text, marksOf(row),
    );
    item.addEventListener("click", (event) => {
      select(key, true);
      if (row.page !== undefined || event.target === twist || event.detail === 2) act(row);
    });
    return item;
  };

  /** Fold or unfold a part; turn the page of a long one. */
  const act = (row) => {
    if (row.page !== undefined) actions.turn(row.path, row.page);
    else if (row.open !== null) actions.toggle(row.path);
  };

  const select = (key, focus) => {
    for (const [at, item] of lines) {
      const here = at === key;
      item.setAttribute("aria-selected", String(here));
      item.tabIndex = here ? 0 : -1;
      if (here && focus) item.focus();
      if (here) item.scrollIntoView({ block: "nearest" });
    }
    current = key;
    actions.chosen(selected());
  };
  const selected = () => rows.find((row) => keyOf(row) === current);

  const show = (next, hits) => {
    const held = node.contains(document.activeElement);
    rows = next;
    found = new Set(hits);
    if (!selected()) current = rows.length ? keyOf(rows[0]) : "";
    const places = siblingPlaces(rows);
    lines = new Map(rows.map((row, index) => [keyOf(row), line(row, places[index])]));
    const top = node.scrollTop;
    node.replaceChildren(...lines.values());
    node.scrollTop = top;
    if (held) lines.get(current)?.focus({ preventScroll: true });
  };

  foldKeys(node, {
    at: () => selected() && { index: rows.indexOf(selected()), open: selected().open },
    go: (index) => rows[index] && select(keyOf(rows[index]), true),
    last: () => rows.length - 1,
    act: (index) => act(rows[index]),
    out: (index) => rows[index].level > 1 && select(around(rows[index]), true),
  });

  return { node, show, select, selected };
}

/** What a row is known by: what is no part of the configuration is known by where it stands, too. */
function keyOf(row) {
  return row.aside ? `${row.path}\u0000${row.name}${row.page ?? ""} ${row.removed ?? ""}` : row.path;
}

/** The part that a row is in. */
function around(row) {
  return row.aside ? row.path : parentOf(row.path);
}

function parentOf(path) {
  return path.slice(0, path.lastIndexOf("/"));
}

/** For each row: how many brothers and sisters it has, and the how-manieth it is. */
function siblingPlaces(rows) {
  const counts = new Map();
  const positions = rows.map((row) => {
    const key = row.level === 1 ? "root" : around(row);
    counts.set(key, (counts.get(key) ?? 0) + 1);
    return [key, counts.get(key)];
  });
  return positions.map(([key, position]) => ({ size: counts.get(key), position }));
}

// One line of a tree: its cells, and what assistive technology is told of it.
const CHANGES = { added: "+ added", removed: "− removed", changed: "~ changed", inside: "~ inside" };
const SORTED = { name: "name", size: "-size", entries: "-entries" }; // as each is wanted first

/** The titles of the columns; those that can be sorted by are buttons. */
function headLine(titles, sort) {
  const cell = (title) => {
    const named = title === "x" ? { "aria-label": "executable" } : {};
    const button = SORTED[title] && el("button", { type: "button", onclick: () => sort(title) }, title);
    return el("span", { role: "columnheader", class: `c-${title}`, ...named }, button || title);
  };
  return el("div", { class: "tr th", role: "row", "aria-rowindex": 1 }, titles.map(cell));
}

/** What a line's colour tells: what changed, or whether a build used it ("" is not). */
function lineClass(row) {
  const use = row?.used === undefined ? "" : row.used ? "used" : "unused";
  return [row?.change, use].filter(Boolean).join(" ");
}

/** Which column the lines are sorted by, said in the titles. */
function markOrder(head, order) {
  for (const cell of head.children) {
    const title = cell.className.slice(2);
    if (!SORTED[title]) continue;
    const here = order.replace("-", "") === title;
    cell.setAttribute("aria-sort", !here ? "none" : order[0] === "-" ? "descending" : "ascending");
  }
}

function lineElement({ line, folder, index }, { uid, top, active, marked }) {
  const row = rowAt(folder, index);
  const opened = openAt(folder, index);
  const props = {
    class: `tr${active ? " active" : ""} ${lineClass(row)}`, role: "row", id: `${uid}-${line}`, style: `top:${top}px`,
    "aria-level": folder.level + 1, "aria-setsize": folder.count, "aria-posinset": index + 1, "aria-rowindex": line + 2, "aria-selected": String(active),
    "aria-expanded": isFolder(row) ? String(!!opened) : undefined,
  };
  const missing = folder.failed ? el("span", { role: "gridcell", class: "bad" }, folder.failed) : el("span", { role: "gridcell", class: "dim", "aria-busy": "true" }, "…");
  const node = el("div", props, row ? cells(row, folder, opened, marked) : missing);
  node.dataset.line = line;
  return node;
}

function cells(row, folder, opened, marked) {
  const cell = (name, ...children) => el("span", { role: "gridcell", class: `c-${name}` }, ...children);
  const twisty = el("span", { class: "twisty", "aria-hidden": "true" }, isFolder(row) ? (opened ? "▾" : "▸") : "");
  const shown = row.name + (row.target !== undefined ? ` → ${row.target}` : "");
  const failed = row.problem && el("span", { class: "bad problem", title: row.problem }, ` ⚠ ${row.problem.replace(/[0-9a-f]{64}: /, "")}`);
  const first = cell("name", twisty, el("span", { class: `name ${row.kind}`, title: shown }, shown), failed || null);
  first.style.paddingLeft = `${Math.min(folder.level, 30) * 14}px`;
  const size = row.size ?? row.below;
  const all = [
    first, cell("kind", row.kind), cell("size", size === undefined ? "" : humanBytes(size)), cell("entries", row.entries === undefined ? "" : row.entries.toLocaleString("en")),
    cell("x", row.executable ? el("span", { title: "executable", "aria-label": "executable", role: "img" }, "✓") : ""), cell("digest", row.digest ?? ""),
  ];
  if (marked) {
    const holds = row.needles?.length ? `holds ${row.needles.join(", ")}${isFolder(row) ? " below" : ""}` : "";
    const notes = [CHANGES[row.change], row.used === "" ? "not used" : row.used, holds].filter(Boolean).join("; ");
    all.push(el("span", { role: "gridcell", class: "c-notes", title: notes || undefined }, notes));
  }
  return all;
}

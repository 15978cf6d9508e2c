/** The tree of /: rows from the kernel for the set of open nodes; keys as in the WAI-ARIA tree pattern. */
function mountTree(ask, opened, fail) {
  const open = new Set(opened);
  const list = el("div", { role: "tree", class: "roottree", "aria-label": "The tree of / as the process sees it" });
  const said = el("div", { class: "dim", role: "status" });
  let rows = [];
  let at = 0;

  function item(row, number) {
    const kind = row.folds ? (row.open ? "▾" : "▸") : " ";
    const target = row.target === null ? "" : ` → ${row.target}`;
    const more = row.more ? ` (${row.more} more entries)` : row.unknown && row.kind === "directory" ? " (not looked at)" : "";
    const node = el(
      "div",
      {
        role: "treeitem",
        "aria-level": row.level,
        "aria-expanded": row.folds ? String(row.open) : undefined,
        "aria-selected": "false",
        tabindex: number === at ? "0" : "-1",
        class: "rootnode",
        style: `padding-left: ${(row.level - 1) * 1.3}em`,
        title: row.path,
        onclick: () => {
          go(number);
          if (row.folds) toggle(row);
        },
      },
      el("span", { class: "twist mono", "aria-hidden": "true" }, kind),
      el("code", {}, row.name + (row.kind === "directory" && row.level > 1 ? "/" : "") + target),
      el("span", { class: "origin" }, row.origin + more),
      el("code", { class: "dim" }, row.asked_for_by),
      el("span", { class: row.writable ? "warn" : "good" }, row.writable ? "writable" : "read-only"),
    );
    return node;
  }

  async function draw(focus = false) {
    try {
      const answer = await ask("tree", { opened: [...open] });
      rows = answer.rows;
      at = Math.min(at, rows.length - 1);
      list.replaceChildren(...rows.map(item));
      said.textContent = answer.more ? `${answer.more} more are not shown: fold something` : "";
      if (focus) list.children[at]?.focus();
    } catch (error) {
      fail(error);
    }
  }

  function go(number) {
    if (number < 0 || number >= rows.length) return;
    list.children[at]?.setAttribute("tabindex", "-1");
    at = number;
    list.children[at].setAttribute("tabindex", "0");
    list.children[at].focus();
  }

  function toggle(row) {
    if (row.open) open.delete(row.number);
    else open.add(row.number);
    draw(true);
  }

  foldKeys(list, {
    at: () => rows[at] && { index: at, open: rows[at].folds ? rows[at].open : null },
    go,
    last: () => rows.length - 1,
    act: (index) => rows[index].folds && toggle(rows[index]),
    out: (index) => go(rows.slice(0, index).findLastIndex((other) => other.level < rows[index].level)),
  });
  return { panel: el("div", {}, list, said), draw };
}

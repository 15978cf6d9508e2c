const HELP = "Arrows move and open, Enter opens, Space shows details, Escape closes them, letters jump to names.";
const MAX_FOUND = 2000;
const MAX_LOOKED = 300_000;

function render({ model, el: host }) {
  const top = root(host, "tree", "Tree");
  const kernel = link(model);
  const whole = () => {
    const first = model.get("first");
    const folder = folderOf(null, 0, [], first);
    if (first.open) expand(folder, 0, first.open);
    return folder;
  };
  const state = { top: whole(), line: 0 };
  const trouble = el("div", {});
  const failed = (error) => trouble.replaceChildren(problem(error));
  if (model.get("first").problem) failed({ message: model.get("first").problem });

  let looking = null;
  const look = (folder, index) => {
    const row = rowAt(folder, index);
    if (!row) return;
    trouble.replaceChildren();
    pane.show(placeOf(folder, index), row);
  };
  const close = () => {
    pane.close();
    rows.grid.focus();
  };
  const pane = treePane({
    ask: kernel.ask, call: kernel.call, failed, close,
    sum: async () => {
      const { folder, index } = rows.current();
      const below = await rows.sum(folder, index);
      rows.refresh();
      return below;
    },
  });
  const help = el("p", { class: "sr", id: `tb-help-${Math.random().toString(36).slice(2)}` }, HELP);
  const rows = treeGrid(state, {
    call: kernel.call, failed, close, marked: model.get("marked"), label: "Entries", help: help.id,
    act: look,
    chosen: () => {
      clearTimeout(looking);
      // Who moves on quickly does not want each one's contents.
      if (!pane.pane.hidden) looking = setTimeout(() => {
        const { folder, index } = rows.current();
        look(folder, index);
      }, 150);
    },
  });
  kernel.on("exported", pane.told);

  const status = el("span", { role: "status", class: "dim" });
  const more = el("button", { type: "button", hidden: true, onclick: () => search(input.value, true) }, "Look further");
  const input = el("input", { type: "search", "aria-label": "Filter by name", placeholder: "filter by name, * and ? too", size: 26 });
  const bar = el("div", { class: "bar" }, input, more, status);
  if (model.get("compared")) {
    const box = el("input", { type: "checkbox" });
    box.checked = model.get("everything");
    // The kernel decides first: pages asked for before it knew would be of the other kind.
    box.addEventListener("change", () => kernel.call("show", { everything: box.checked }).catch(failed));
    bar.append(el("label", {}, box, " what is the same, too"));
  }

  /** Show these lines from now on. */
  const display = (folder) => {
    state.top = folder;
    state.line = Math.min(state.line, Math.max(0, folder.total - 1));
    rows.draw();
  };
  let seeking = 0;
  let hits = null;
  let limit = 0;
  async function search(text, goOn) {
    const mine = ++seeking;
    more.hidden = true;
    if (!text.trim()) {
      status.textContent = "";
      if (hits) display(all);
      hits = null;
      return;
    }
    if (!goOn) {
      hits = folderOf(null, 0, [], { count: 0, start: 0, rows: [] });
      hits.loose = true;
      limit = MAX_LOOKED;
      state.line = 0;
      rows.grid.scrollTop = 0;
    } else limit += MAX_LOOKED;
    const from = hits.count;
    try {
      for (let again = goOn; ; again = true) {
        const found = await kernel.call("find", { text: text.trim(), go_on: again });
        if (mine !== seeking) return;
        add(found.rows);
        const stopped = hits.count - from >= MAX_FOUND || found.looked > limit;
        status.textContent = `${hits.count.toLocaleString("en")} found, ${found.looked.toLocaleString("en")} looked at${found.done ? "" : stopped ? ", there are more" : "…"}`;
        display(hits);
        if (found.done) return;
        if (stopped) break;
      }
      more.hidden = false;
    } catch (error) {
      if (mine === seeking) failed(error);
    }
  }
  const add = (found) => {
    for (const row of found) {
      const number = Math.floor(hits.count / PAGE);
      if (!hits.pages.has(number)) hits.pages.set(number, []);
      hits.pages.get(number).push(row);
      hits.count += 1;
    }
    widen(hits, found.length);
  };
  let all = state.top;
  let typing = null;
  input.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => search(input.value, false), 200);
  });
  const anew = async () => {
    try {
      const first = await kernel.call("page", { at: [], start: 0 });
      all = folderOf(null, 0, [], first);
      if (first.open) expand(all, 0, first.open);
      pane.close();
      if (hits) search(input.value, false);
      else display(all);
    } catch (error) {
      failed(error);
    }
  };
  model.on("change:everything", anew);

  top.append(bar, trouble, rows.grid, help, pane.pane);
  rows.draw();
  // The height is known only now that it is in the page.
  const resized = new ResizeObserver(rows.refresh);
  resized.observe(top);
  return () => {
    resized.disconnect();
    model.off("change:everything", anew);
    kernel.close();
    pane.close();
  };
}
export default { render };

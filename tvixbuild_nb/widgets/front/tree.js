const HELP = "Arrows move and open, Enter opens, Space shows details, Escape closes them, letters jump to names.";

function render({ model, el: host }) {
  const top = root(host, "tree", "Tree", model.get("note"));
  const kernel = link(model);
  const whole = (first) => {
    const folder = folderOf(null, 0, [], first);
    if (first.open) expand(folder, 0, first.open);
    return folder;
  };
  const state = { top: whole(model.get("first")), line: 0, order: "" };
  let all = state.top;
  const trouble = el("div", {});
  const failed = (error) => trouble.replaceChildren(problem(error));
  if (model.get("first").problem) failed({ message: model.get("first").problem });

  let looking = null;
  const look = (folder, index) => {
    const row = rowAt(folder, index);
    if (!row) return;
    trouble.replaceChildren();
    pane.show(placeOf(folder, index), row).then(rows.refresh);
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
  let sorting = 0;
  const sort = async (title) => {
    if (find.active()) return;
    const back = (order) => (order[0] === "-" ? order.slice(1) : `-${order}`);
    const [first, now] = [SORTED[title], wanted];
    // The first way, the other way, as it is stored.
    wanted = now === first ? back(first) : now === back(first) ? "" : first;
    const mine = ++sorting;
    try {
      const found = await sorted({ ...state, top: all }, wanted, { call: kernel.call, current: rows.current });
      if (mine !== sorting) return;
      Object.assign(state, { order: wanted, line: found.line });
      all = found.top;
      display(all);
      rows.moveTo(found.line);
    } catch (error) {
      wanted = state.order;
      failed(error);
    }
  };
  let wanted = "";
  const rows = treeGrid(state, {
    call: kernel.call, failed, close, sort, marked: model.get("marked"), needles: model.get("needles"), label: "Entries", help: help.id,
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

  /** Show these lines from now on. */
  const display = (folder) => {
    if (folder !== state.top && folder.loose) rows.grid.scrollTop = 0;
    state.top = folder;
    state.line = Math.min(state.line, Math.max(0, folder.total - 1));
    top.classList.toggle("found", !!folder.loose);
    rows.draw();
  };
  const find = treeFind(state, { call: kernel.call, failed, display, all: () => all, needles: model.get("needles") });
  const bar = el("div", { class: "bar" }, ...find.parts.filter(Boolean));
  if (model.get("comparison")) {
    const box = el("input", { type: "checkbox" });
    box.checked = model.get("everything");
    // The kernel decides first: pages asked for before it knew would be of the other kind.
    box.addEventListener("change", () => kernel.call("show", { everything: box.checked }).catch(failed));
    bar.append(el("label", {}, box, " what is the same, too"), el("span", { class: "dim" }, model.get("comparison")));
  }
  const anew = async () => {
    try {
      all = whole(await kernel.call("page", { at: [], start: 0, order: state.order }));
      pane.close();
      if (find.active()) find.again();
      else display(all);
    } catch (error) {
      failed(error);
    }
  };
  model.on("change:everything", anew);

  top.append(bar, trouble, rows.grid, help, pane.pane);
  rows.draw();
  // A file or a symlink on its own: what it holds is all there is to see.
  if (all.count === 1 && !isFolder(rowAt(all, 0))) look(all, 0);
  // The height is known only now that it is in the page.
  const resized = new ResizeObserver(rows.refresh);
  resized.observe(top);
  return () => {
    resized.disconnect();
    model.off("change:everything", anew);
    find.stop();
    kernel.close();
    pane.close();
  };
}
export default { render };

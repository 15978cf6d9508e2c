const HISTORY_COLUMNS = ["run", "when", "ended", "took", "what changed", "request"];
const HISTORY_COLOURS = { succeeded: "good", running: "", failed: "bad", damaged: "bad" };

/** Everything that changed, and what opens this run elsewhere. */
function historyWords(detail) {
  const copy = el("button", { "aria-label": "copy what opens this run", onclick: () => copyText(detail.code) }, "copy");
  const changes = detail.changes.map((change) => el("li", {}, change));
  if (detail.more) changes.push(el("li", {}, `and ${detail.more} more`));
  return [
    detail.verdict === null ? null : el("div", { class: "verdict" }, detail.verdict),
    changes.length ? el("ul", { "aria-label": "what changed" }, changes) : null,
    detail.digest === null ? null : el("div", {}, "request ", el("code", {}, detail.digest)),
    el("div", { class: "bar" }, el("code", {}, detail.code), copy),
  ].filter((node) => node);
}

/** One run of the table: its row, and below it, while it is open, its details and its own view. */
function historyEntry(kernel, manager) {
  const button = el("button", { class: "mono", "aria-expanded": "false" });
  const [when, ended, took, changed, request] = ["", "", "", "changed", "mono"].map((name) => el("td", { class: name }));
  const cell = el("td", { colspan: HISTORY_COLUMNS.length, class: "detail" });
  const below = el("tr", {}, cell);
  const node = el("tbody", {}, el("tr", {}, el("th", { scope: "row" }, button), when, ended, took, changed, request));
  let run = null;
  let view = null;
  let wanted = 0; // opened so many times: an answer that comes late is of no use

  async function open() {
    const mine = ++wanted;
    cell.replaceChildren("…");
    node.append(below);
    try {
      const detail = await kernel.call("history_detail", { run });
      if (mine !== wanted) return;
      cell.replaceChildren(...historyWords(detail));
      if (!detail.view) return;
      const made = await manager.create_view(await manager.get_model(detail.view), {});
      if (mine !== wanted) return made.remove();
      view = made;
      cell.append(view.el);
    } catch (error) {
      if (mine === wanted) cell.append(problem(error));
    }
  }
  function shut() {
    wanted += 1;
    view?.remove();
    view = null;
    below.remove();
  }
  button.addEventListener("click", () => {
    const opening = !below.isConnected;
    button.setAttribute("aria-expanded", `${opening}`);
    if (opening) open();
    else shut();
  });
  return {
    node,
    shut,
    update: (data) => {
      run = data.run;
      button.textContent = run;
      when.textContent = data.when;
      took.textContent = data.took;
      ended.className = HISTORY_COLOURS[data.status] ?? "warn";
      ended.replaceChildren(data.ended, ...(data.message && data.status !== "succeeded" ? [el("div", { class: "dim" }, data.message)] : []));
      changed.textContent = data.changed;
      changed.title = data.command;
      request.textContent = data.digest.slice(0, 12);
      request.title = data.digest;
    },
  };
}

function render({ model, el: host }) {
  const kernel = link(model);
  const top = root(host, "history", "Runs");
  const caption = el("caption", {});
  const head = el("tr", {}, HISTORY_COLUMNS.map((name) => el("th", { scope: "col" }, name)));
  const note = el("div", { class: "dim" });
  // Each run has a body of its own: what is open stays where it is while others come.
  const table = el("table", {}, caption, el("thead", {}, head));
  const known = new Map();
  top.append(table, note);

  function draw(data) {
    caption.textContent = data.heading;
    note.textContent = data.older ? `${data.older} older runs are not shown here` : "";
    const rows = data.rows.map((row) => ({ ...row, number: row.run }));
    const gone = new Map(known);
    arrange(table, known, rows, () => historyEntry(kernel, model.widget_manager), { first: table.tHead });
    for (const row of rows) {
      known.get(row.run).update(row);
      gone.delete(row.run);
    }
    for (const entry of gone.values()) entry.shut();
  }
  kernel.on("history", draw);
  kernel.call("history_state").then(draw, (error) => note.replaceChildren(problem(error)));
  return () => {
    for (const entry of known.values()) entry.shut();
    kernel.close();
  };
}
export default { render };

const HISTORY_COLUMNS = ["run", "when", "ended", "took", "what changed", "request"];
const HISTORY_COLOURS = { succeeded: "good", running: "", failed: "bad", damaged: "bad" };

function historyDetail(detail) {
  const copy = el("button", { "aria-label": "copy what opens this run", onclick: () => copyText(detail.code) }, "copy");
  const changes = detail.changes.map((change) => el("li", {}, change));
  if (detail.more) changes.push(el("li", {}, `and ${detail.more} more`));
  return [
    el("div", { class: "verdict" }, detail.verdict),
    changes.length ? el("ul", { "aria-label": "what changed" }, changes) : null,
    el("div", { class: "bar" }, el("code", {}, detail.code), copy),
  ].filter((node) => node);
}

function render({ model, el: host }) {
  const kernel = link(model);
  const top = root(host, "history", "Runs");
  const caption = el("caption", {});
  const body = el("tbody");
  const head = el("tr", {}, HISTORY_COLUMNS.map((name) => el("th", { scope: "col" }, name)));
  const note = el("div", { class: "dim" });
  top.append(el("table", {}, caption, el("thead", {}, head), body), note);
  const open = new Map(); // run -> the cell with its details

  async function fill(run, cell) {
    try {
      cell.replaceChildren(...historyDetail(await kernel.call("history_detail", { run })));
    } catch (error) {
      cell.replaceChildren(problem(error));
    }
  }
  function toggle(run, button, row) {
    const cell = open.get(run);
    if (cell) {
      cell.parentNode.remove();
      open.delete(run);
    } else show(run, row);
    button.setAttribute("aria-expanded", `${!cell}`);
  }
  function show(run, row) {
    const cell = el("td", { colspan: HISTORY_COLUMNS.length, class: "detail" }, "…");
    open.set(run, cell);
    row.after(el("tr", {}, cell));
    fill(run, cell);
  }
  function line(data) {
    const button = el("button", { class: "mono", "aria-expanded": `${open.has(data.run)}` }, data.run);
    const row = el(
      "tr",
      {},
      el("th", { scope: "row" }, button),
      el("td", {}, data.when),
      el("td", { class: HISTORY_COLOURS[data.status] ?? "warn" }, data.ended),
      el("td", {}, data.took),
      el("td", { class: "changed", title: data.command }, data.changed),
      el("td", { class: "mono", title: data.digest }, data.digest.slice(0, 12)),
    );
    button.addEventListener("click", () => toggle(data.run, button, row));
    return row;
  }
  function draw(data) {
    const focused = body.contains(document.activeElement) ? document.activeElement.textContent : null;
    const was = new Set(open.keys());
    caption.textContent = `${data.title}: ${data.total}, the newest first`;
    note.textContent = data.older ? `${data.older} older runs are not shown here` : "";
    const rows = data.rows.map(line);
    body.replaceChildren(...rows);
    open.clear();
    data.rows.forEach(({ run }, n) => {
      if (was.has(run)) show(run, rows[n]);
      if (run === focused) rows[n].querySelector("button").focus();
    });
  }
  kernel.on("history", draw);
  kernel.call("history_state").then(draw, (error) => note.replaceChildren(problem(error)));
  return () => kernel.close();
}
export default { render };

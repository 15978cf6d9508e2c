const MANY_MARKS = { waiting: "·", building: "▶", succeeded: "✓", failed: "✗", "timed-out": "✗", cancelled: "–" };
const MANY_TONES = { succeeded: "good", failed: "bad", "timed-out": "bad", cancelled: "warn" };

/** One build: its row; what it says is drawn by update(). */
function manyEntry(stop) {
  const [requests, took, worker, run, said] = ["mono", "took mono", "worker", "mono", "said"].map((name) => el("td", { class: name }));
  const mark = el("span", { "aria-hidden": "true" });
  const told = el("span", {});
  const button = el("button", { onclick: () => stop(known.number) }, "stop");
  const cell = el("td", {}, button);
  const node = el("tr", {}, requests, el("td", { class: "state" }, mark, " ", told), took, worker, run, said, cell);
  let known = {};
  const count = () => {
    // By the clock of the machine the kernel runs on: as far as the page's differs, so do the seconds.
    const seconds = known.started ? Math.max(0, Date.now() / 1000 - known.started) : null;
    took.textContent = known.over ? known.took : seconds === null ? "" : `${seconds.toFixed(1)} s`;
  };
  return {
    node,
    count,
    update: (row, workers) => {
      known = row;
      requests.textContent = row.requests;
      mark.textContent = MANY_MARKS[row.state];
      told.textContent = row.told;
      told.className = MANY_TONES[row.state] ?? "";
      worker.textContent = row.worker;
      worker.hidden = !workers;
      run.textContent = row.run;
      said.replaceChildren(row.said, ...(row.hint ? [el("div", { class: "dim" }, row.hint)] : []));
      node.title = row.command;
      button.hidden = row.over;
      button.setAttribute("aria-label", `stop the build of request ${row.requests}`);
      count();
    },
  };
}

function render({ model, el: host }) {
  const kernel = link(model);
  const top = root(host, "many", "Builds", model.get("note"));
  const counts = el("span", { role: "status" });
  const all = el("button", { onclick: () => stop(null) }, "stop all");
  const trouble = el("div", {});
  const workerHead = el("th", { scope: "col" }, "worker");
  const heads = ["request", "state", "time", workerHead, "run", "log"].map((head) => (head === workerHead ? head : el("th", { scope: "col" }, head)));
  const body = el("tbody", {});
  const table = el("table", {}, el("thead", {}, el("tr", {}, heads, el("td", {}))), body);
  const note = el("div", { class: "dim" });
  const unfit = el("ul", { class: "warn", "aria-label": "workers that cannot build" });
  const known = new Map();
  top.append(el("div", { class: "bar" }, counts, all), trouble, table, note, unfit);

  async function stop(number) {
    trouble.replaceChildren();
    try {
      draw(await kernel.call("many_cancel", { number }));
    } catch (error) {
      trouble.replaceChildren(problem(error));
    }
  }
  function draw(state) {
    counts.textContent = `builds: ${state.counts}`;
    all.hidden = state.over;
    note.textContent = state.more ? `${state.more} more builds are not shown` : "";
    workerHead.hidden = !state.workers;
    arrange(body, known, state.rows, () => manyEntry(stop));
    for (const row of state.rows) known.get(row.number).update(row, state.workers);
    unfit.replaceChildren(...state.unfit.map((line) => el("li", {}, line)));
    unfit.hidden = !state.unfit.length;
    if (state.over) clearInterval(clock);
  }
  const clock = setInterval(() => known.forEach((entry) => entry.count()), 200);
  const follow = () => draw(model.get("state"));
  model.on("change:state", follow);
  follow();
  return () => {
    clearInterval(clock);
    model.off("change:state", follow);
    kernel.close();
  };
}
export default { render };

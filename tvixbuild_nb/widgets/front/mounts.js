const MOUNTS_AT_A_TIME = 300;
const SORTED = { none: "none", up: "ascending", down: "descending" };

function mountPanel(wire, summary, fail) {
  const columns = MOUNT_COLUMNS.filter(([name]) => summary.columns.includes(name));
  const state = { by: "order", descending: false, find: "", kind: "all", count: MOUNTS_AT_A_TIME };
  const body = el("tbody");
  const said = el("span", { class: "dim", role: "status" });
  let asked = 0;

  const heads = columns.map(([name]) =>
    el("th", { scope: "col", class: columnClass(name), "aria-sort": SORTED.none }, el("button", { type: "button", onclick: () => sort(name) }, name === "order" ? "#" : name)),
  );
  function sort(name) {
    state.descending = state.by === name && !state.descending;
    state.by = name;
    draw();
  }
  const find = el("input", { type: "search", placeholder: "filter", "aria-label": "Filter mounts" });
  find.addEventListener("input", () => {
    state.find = find.value;
    draw();
  });
  const kinds = el("select", { "aria-label": "Which mounts" }, summary.kinds.map((kind) => el("option", { value: kind }, kind)));
  kinds.addEventListener("change", () => {
    state.kind = kinds.value;
    draw();
  });
  const spell = el("button", { type: "button", "aria-pressed": "false" }, "spell options out");
  spell.addEventListener("click", () => {
    spell.setAttribute("aria-pressed", String(spell.getAttribute("aria-pressed") !== "true"));
    unfold();
  });
  const unfold = () => {
    for (const part of body.querySelectorAll("details")) part.open = spell.getAttribute("aria-pressed") === "true";
  };
  const more = el("button", { type: "button", hidden: true, onclick: () => ((state.count += MOUNTS_AT_A_TIME), draw()) }, "show more");

  async function draw() {
    const turn = ++asked;
    try {
      const answer = await wire.call("rows", { ...state });
      if (turn !== asked) return; // a later question is on its way
      body.replaceChildren(...answer.rows.map((row) => mountCells(columns, row)));
      unfold();
      columns.forEach(([name], number) => {
        const way = name !== state.by ? SORTED.none : state.descending ? SORTED.down : SORTED.up;
        heads[number].setAttribute("aria-sort", way);
      });
      const left = answer.matching - answer.rows.length;
      said.textContent = `${answer.matching} of ${summary.mounts} mounts${left ? `, ${left} more below` : ""}`;
      more.hidden = !left;
    } catch (error) {
      fail(error);
    }
  }
  const table = el("table", { "aria-label": "Mounts in order" }, el("thead", {}, el("tr", {}, heads)), body);
  return { panel: el("div", {}, el("div", { class: "bar" }, find, kinds, spell, said), scrolling("Mounts", table), more), draw };
}

function unplannedPanel(wire, fail) {
  const body = el("tbody");
  const head = el("tr", {}, UNPLANNED_COLUMNS.map(([name]) => el("th", { scope: "col", class: columnClass(name) }, name)));
  const table = el("table", { "aria-label": "Mounts that nobody asked for" }, el("thead", {}, head), body);
  const rest = el("span", { class: "dim", role: "status" });
  const more = el("button", { type: "button", hidden: true, onclick: () => ((count += MOUNTS_AT_A_TIME), draw()) }, "show more");
  let count = MOUNTS_AT_A_TIME;
  const draw = async () => {
    try {
      const answer = await wire.call("unplanned", { count });
      body.replaceChildren(...answer.rows.map((row) => mountCells(UNPLANNED_COLUMNS, row)));
      const left = answer.matching - answer.rows.length;
      rest.textContent = left ? `${left} more are not shown` : "";
      more.hidden = !left;
    } catch (error) {
      fail(error);
    }
  };
  return { panel: el("div", {}, scrolling("Mounts besides", table), el("div", { class: "bar" }, rest, more)), draw };
}

function render({ model, el: host }) {
  const top = root(host, "mounts", "Mounts", model.get("note"));
  const wire = link(model);
  const summary = model.get("summary");
  const fail = (error) => top.append(problem(error));
  const mounts = mountPanel(wire, summary, fail);
  const tree = mountTree(wire.call, summary.open, fail);
  if (summary.refused) tree.panel.replaceChildren(el("p", {}, `no tree of /: ${summary.refused}`));
  const entries = [
    { name: `mounts (${summary.mounts})`, panel: mounts.panel, shown: mounts.draw },
    { name: "tree of /", panel: tree.panel, shown: summary.refused ? undefined : () => tree.draw() },
  ];
  if (summary.observed) {
    const besides = unplannedPanel(wire, fail);
    entries.push({ name: `seen besides (${summary.unplanned})`, panel: besides.panel, shown: besides.draw });
  }
  top.append(...tabs("Mounts", entries));
  return () => wire.close();
}
export default { render };

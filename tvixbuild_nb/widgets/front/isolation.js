function sideTable(head, rows, label) {
  const cells = (row) => row.map((cell) => el("td", {}, [cell].flat()));
  const top = el("thead", {}, el("tr", {}, head.map((name) => el("th", { scope: "col" }, name))));
  const table = el("table", { "aria-label": label }, top, el("tbody", {}, rows.map((row) => el("tr", {}, cells(row)))));
  return el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": label }, table);
}

function code(text) {
  return el("code", {}, text);
}

/** The process's two sides, each thing about it beside its counterpart. */
function sides(data) {
  const rows = data.aspects.map((row) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, row.name),
      el("td", { class: "host" }, code(row.host)),
      el("td", { class: "inside" }, code(row.inside)),
      el("td", { class: "dim" }, row.note),
    ),
  );
  const heads = [el("td"), el("th", { scope: "col", class: "host" }, "from the host"), el("th", { scope: "col", class: "inside" }, "from inside"), el("td")];
  return el("table", { class: "sides", "aria-label": "One process from both sides" }, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows));
}

function namespaces(data) {
  return data.namespaces.map((row) => {
    const link = el("span", { class: row.own ? "good" : "warn" }, row.own ? "≠ its own" : `= ${row.whose}`);
    return [code(row.type), code(row.host), link, code(row.inside), row.what, el("span", { class: row.own ? "dim" : "warn" }, row.without)];
  });
}

/** An arrow from an id inside to one outside; what has no map comes back as 65534. */
function arrow(row, outside) {
  const where = outside === "the host" ? "on the host" : `in ${outside}`;
  const inside = el("span", { class: "end" }, code(`${row.kind} ${row.inside}`), row.name ? el("span", { class: "dim" }, ` ${row.name}`) : "");
  const shaft = el("span", { class: `shaft ${row.mapped ? "to" : "from"}`, role: "img", "aria-label": row.mapped ? "is" : "stands for" });
  const there = el("span", { class: "end" }, code(row.outside), row.mapped ? el("span", { class: "dim" }, ` ${where}`) : "");
  const further = row.host
    ? [el("span", { class: "shaft to", role: "img", "aria-label": "is" }), el("span", { class: "end" }, code(row.host), " on the host")]
    : [];
  return el("div", { class: row.mapped ? "arrow" : "arrow nobody" }, inside, shaft, there, ...further);
}

function ids(data) {
  if (!data.ids.length) return el("p", {}, "no user namespace: every id is the host's");
  return el(
    "div",
    { class: "arrows" },
    data.ids.map((row) => arrow(row, data.outside)),
    el("p", { class: "dim" }, "65534 is what the kernel shows for an id without a map, such as that of the host's root; nobody inside can take it on or give files to it."),
  );
}

function capabilities(rows) {
  return rows.map((row) => [code(row.name), row.what, row.sets]);
}

function part(title, content, open = false) {
  const node = el("details", { class: "part" }, el("summary", {}, title), content);
  node.open = open;
  return node;
}

function draw(top, data) {
  const paths = data.paths.map((row) => [
    code(row.path),
    row.kind,
    el("span", { class: row.open ? "bad" : row.seen === "in force" ? "good" : "dim" }, row.seen),
    row.what,
  ]);
  const limits = data.limits.map((row) => [code(row.name), row.inside, row.host, row.unit, row.what, row.asked ? "asked for" : ""]);
  const parts = [
    part("Namespaces", sideTable(["namespace", "the host's", "", "inside", "what it gives", "without it"], namespaces(data), "Namespaces"), true),
    part(`Ids inside and outside (${data.outside})`, ids(data), true),
    part(`Capabilities kept (${data.kept.length})`, sideTable(["name", "allows to", "sets"], capabilities(data.kept), "Capabilities kept")),
    part(`Capabilities dropped (${data.dropped.length})`, sideTable(["name", "would allow to", ""], capabilities(data.dropped), "Capabilities dropped")),
    part("Masked and read-only paths", sideTable(["path", "how", "seen", "what is there"], paths, "Masked and read-only paths")),
    part("Limits (soft / hard)", sideTable(["limit", "inside", "the host's", "unit", "of what", ""], limits, "Limits")),
  ];
  const every = el("button", { type: "button", "aria-pressed": "false" }, "unfold all");
  every.addEventListener("click", () => {
    const wanted = every.getAttribute("aria-pressed") !== "true";
    every.setAttribute("aria-pressed", String(wanted));
    for (const one of parts) one.open = wanted;
    find.value = "";
    filter();
  });
  const find = el("input", { type: "search", placeholder: "filter", "aria-label": "Filter the tables" });
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const one of parts) {
      let hits = 0;
      for (const row of one.querySelectorAll("tbody tr, .arrow")) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        hits += row.hidden ? 0 : 1;
      }
      if (words.length) one.open = hits > 0;
    }
  };
  find.addEventListener("input", filter);
  top.replaceChildren(
    el("div", { class: "bar" }, el("strong", {}, data.title), el("span", { class: `basis ${data.basis}` }, data.basis), find, every),
    sides(data),
    ...parts,
  );
}

function render({ model, el: host }) {
  const top = root(host, "isolation", "Isolation", model.get("note"));
  const wire = link(model);
  wire.call("everything").then((data) => draw(top, data), (error) => top.append(problem(error)));
  return () => wire.close();
}
export default { render };

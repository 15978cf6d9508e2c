// Beside a preview's tree: what is to be said about one part; below it: the table of a comparison.

/** The panel for one part: what it does, who asked for it, where it is specified, what would be without it.
 * ``copyPart`` copies its JSON, null for what is gone; ``copied`` copies a text and says so. */
function detailPanel(detail, copyPart, copied) {
  const said = detail.explanation;
  const copyPath = el("button", { type: "button", onclick: () => copied(detail.path) }, "Copy path");
  const copyValue = el("button", { type: "button", onclick: copyPart }, "Copy JSON of this part");
  const facts = said
    ? [
        el("p", { class: "what" }, said.what),
        el(
          "dl",
          {},
          el("dt", {}, "asked for by"), el("dd", { class: "mono" }, said.asked_by),
          el("dt", {}, "specified in"),
          el("dd", {}, el("a", { href: said.url, target: "_blank", rel: "noopener noreferrer" }, said.specified_in)),
          el("dt", {}, "without it"), el("dd", {}, said.without),
        ),
      ]
    : [el("p", { class: "dim" }, "sb.preview() explains every part; this is a configuration alone.")];
  const deviations = detail.deviations.map((each) =>
    el(
      "div",
      { class: "deviation" },
      el("div", { class: "warn" }, `not as Tvix: ${each.name}`),
      el("div", {}, `Tvix: ${each.tvix} — here: ${each.ours}`),
      el("div", {}, `${each.reason} (whose choice: ${each.asked_by})`),
    ),
  );
  const value = el("pre", { tabindex: 0, "aria-label": "its JSON" }, detail.value);
  const copies = copyPart ? [el("div", { class: "bar" }, copyPath, copyValue)] : [];
  return [el("div", { class: "mono path" }, detail.path), ...facts, ...deviations, value, ...copies];
}

const DIFF_COLUMNS = ["where", "here", "there", "why"];

/** A comparison as a table; a part that is here can be gone to. */
function diffTable(diff, go) {
  if (!diff.rows.length) return [el("p", {}, `no difference from ${diff.other}`)];
  const row = (each) => {
    const where = el("button", { type: "button", class: "mono link", onclick: () => go(each.path) }, each.where);
    const cells = [where, el("span", { class: "mono" }, each.ours), el("span", { class: "mono" }, each.theirs), each.why];
    return el("tr", { class: each.kind.replace(" ", "-") }, cells.map((cell) => el("td", {}, cell)));
  };
  const left = diff.count - diff.rows.length;
  return [
    el(
      "table",
      {},
      el("caption", {}, `${diff.count} ${diff.count === 1 ? "difference" : "differences"} from ${diff.other}`),
      el("thead", {}, el("tr", {}, DIFF_COLUMNS.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, diff.rows.map(row)),
    ),
    left ? el("p", { class: "dim" }, `${left} more are not shown`) : "",
  ];
}

/** Mount options, each with what it says, folded below their names. */
function optionList(options) {
  if (!options.length) return "";
  const item = (option) => el("li", {}, el("code", {}, option.text), `: ${option.meaning ?? "not known here"}`);
  return el(
    "details",
    { class: "options" },
    el("summary", {}, el("code", {}, options.map((option) => option.text).join(", "))),
    el("ul", {}, options.map(item)),
  );
}

function noted(label, paths) {
  return el("div", { class: "dim" }, label, el("code", {}, paths));
}

function destinationCell(row) {
  return [
    el("code", {}, row.destination),
    row.mounted_at && noted("really at ", row.mounted_at),
    row.shadowed_by && noted("hidden by ", row.shadowed_by),
    row.shadows.length ? noted("hides ", row.shadows.join(", ")) : null,
  ];
}

function sourceCell(row) {
  const elsewhere = row.host && row.host !== row.source;
  return [el("code", {}, row.source), elsewhere ? el("div", { class: "dim" }, "on the host ", el("code", {}, row.host)) : null];
}

function inputCell(row) {
  if (row.digest === null) return [];
  const size = row.kind === "file" ? humanBytes(row.size) : `${row.size} ${row.size === 1 ? "entry" : "entries"}`;
  const copy = el("button", {
    type: "button",
    class: "digest mono",
    title: `copy ${row.digest}`,
    "aria-label": `copy the digest ${row.digest}`,
    onclick: () => copyText(row.digest),
  }, row.digest.slice(0, 12));
  return [copy, el("div", { class: "dim" }, size)];
}

function seenCell(row) {
  const differs = row.differs.map((text) => el("div", { class: "bad" }, `⚠ ${text}`));
  if (row.seen === null) return differs.length ? differs : [el("span", { class: "dim" }, "made as a symlink")];
  const seen = row.seen;
  const mode = seen.mode === null ? (seen.error ?? "hidden by another mount") : `mode ${seen.mode}, owner ${seen.owner}`;
  return [...differs, el("div", {}, seen.type, " ", optionList(seen.options)), el("div", { class: "dim" }, mode)];
}

function writableCell(writable) {
  return el("span", { class: writable ? "warn" : "good" }, writable ? "writable" : "read-only");
}

/** Kernel's name of the order, and what stands in the column. */
const MOUNT_COLUMNS = [
  ["order", (row) => `${row.order}`],
  ["destination", destinationCell],
  ["type", (row) => row.type],
  ["source", sourceCell],
  ["options", (row) => optionList(row.options)],
  ["asked for by", (row) => el("code", {}, row.asked_for_by)],
  ["writable", (row) => writableCell(row.writable)],
  ["input", inputCell],
  ["seen", seenCell],
];
const UNPLANNED_COLUMNS = [
  ["destination", (row) => el("code", {}, row.destination)],
  ["type", (row) => row.type],
  ["options", (row) => optionList(row.options)],
  ["writable", (row) => writableCell(row.writable)],
  ["why", (row) => row.why],
];

function columnClass(name) {
  return `of-${name.replaceAll(" ", "-")}`;
}

function mountCells(columns, row) {
  const cells = columns.map(([name, cell]) => el("td", { class: columnClass(name) }, [cell(row)].flat()));
  return el("tr", { class: row.shadowed_by ? "hidden-mount" : undefined }, cells);
}

/** A wide table scrolls in its own box, by keys as well. */
function scrolling(label, ...content) {
  return el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": label }, ...content);
}

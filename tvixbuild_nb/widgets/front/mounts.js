const COLUMNS = ["order", "destination", "type", "source", "options", "asked for by"];

function cells(row) {
  return [row.order, row.destination, row.type, row.host ?? row.source, row.options.join(", "), row.asked_for_by];
}

function render({ model, el: host }) {
  const top = root(host, "mounts", "Mounts");
  const body = el("tbody");
  for (const row of model.get("rows")) body.append(el("tr", {}, cells(row).map((text) => el("td", { class: "mono" }, `${text}`))));
  top.append(el("table", {}, el("thead", {}, el("tr", {}, COLUMNS.map((name) => el("th", { scope: "col" }, name)))), body));
}
export default { render };

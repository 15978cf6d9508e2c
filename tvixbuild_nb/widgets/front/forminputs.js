// The inputs: what the build gets to read, and a way to add what is at a path of the host.

function inputsField(form) {
  const body = el("tbody");
  const head = ["name", "kind", "size", "digest", "from", ""].map((title) =>
    el("th", { scope: "col" }, title || el("span", { class: "unseen" }, "remove")),
  );
  const table = el("table", { "aria-label": "Inputs" }, el("thead", {}, el("tr", {}, head)), body);
  const none = el("div", { class: "dim" }, "none");
  const more = el("div", { class: "dim" });
  const said = el("div", { role: "status" });
  const field = (label, props) => {
    const id = `tvixbuild-form-${++formIds}`;
    const input = el("input", { id, type: "text", class: "mono", spellcheck: "false", autocomplete: "off", ...props });
    input.addEventListener("keydown", (event) => event.key === "Enter" && add());
    return { input, node: el("div", { class: "form-field" }, el("label", { for: id }, label), input) };
  };
  const path = field("Path on this host", { size: 40 });
  const name = field("Name in the build", { size: 20, placeholder: "that of the path" });
  const button = el("button", { type: "button", onclick: () => add() }, "Add input");

  function say(text, wrong) {
    said.textContent = text;
    said.className = wrong ? "tvixbuild-problem" : "dim";
    if (wrong) path.input.setAttribute("aria-invalid", "true");
    else path.input.removeAttribute("aria-invalid");
  }
  said.id = `tvixbuild-form-${++formIds}`;
  path.input.setAttribute("aria-describedby", said.id);

  async function add() {
    try {
      await form.link.call("add_path", { path: path.input.value, name: name.input.value });
      path.input.value = name.input.value = "";
    } catch (error) {
      say(error.hint ? `${error.message} (${error.hint})` : error.message, true);
    }
  }

  function line(row, faults) {
    const remove = async () => {
      await form.call("remove_input", { name: row.name });
      (body.querySelector("button") ?? path.input).focus();
    };
    const wrong = faults.filter((one) => one.row === row.name).map((one) => el("div", { class: "tvixbuild-problem" }, one.message));
    const digest = row.digest
      ? el("button", { type: "button", class: "mono", title: row.digest, "aria-label": `copy digest of ${row.name}`, onclick: () => copyText(row.digest) }, `${row.digest.slice(0, 12)}…`)
      : "";
    const remover = el("button", { type: "button", class: "form-remove", "aria-label": `remove input ${row.name}`, onclick: remove }, "✕");
    return el(
      "tr",
      {},
      el("td", { class: "mono" }, row.name, wrong),
      el("td", {}, row.kind),
      el("td", {}, row.size),
      el("td", {}, digest),
      el("td", { class: "form-origin" }, row.origin),
      el("td", {}, remover),
    );
  }

  form.link.on("input", ({ text, wrong }) => say(text, wrong));
  return {
    node: el("div", {}, table, none, more, el("div", { class: "bar form-adder" }, path.node, name.node, button), said),
    flush: () => undefined,
    update: (data, faults) => {
      body.replaceChildren(...data.rows.map((row) => line(row, faults)));
      table.hidden = data.rows.length === 0;
      none.hidden = data.rows.length > 0;
      more.textContent = data.hidden ? `and ${data.hidden} more, not shown here` : "";
    },
  };
}

// The inputs: what the build gets to read, each under a name that can be changed, and the ways to add one.

/** A field of the adder: a label and its control. */
function adderField(label, control) {
  control.id = `tvixbuild-form-${++formIds}`;
  return el("div", { class: "form-field" }, el("label", { for: control.id }, label), control);
}

function adderText(props) {
  return el("input", { type: "text", class: "mono", spellcheck: "false", autocomplete: "off", ...props });
}

/** Where an input may come from: `fields` to fill in, and `send(name)`, which asks the kernel for it. */
function inputSources(form) {
  const path = adderText({ size: 40 });
  const digest = adderText({ size: 66 });
  const text = el("textarea", { rows: 3, cols: 60, class: "mono", spellcheck: "false", autocomplete: "off" });
  const output = el("select", {});
  const program = [0, 1].map(() => el("input", { type: "checkbox" }));
  const executable = program.map((box) => adderField("executable", box));
  let outputs = [];
  const ask = (name, args) => form.link.call(name, args);
  return {
    path: {
      title: "a path of this host",
      fields: [adderField("Path on this host", path)],
      placeholder: "that of the path",
      send: (name) => ask("add_path", { path: path.value, name }),
      clear: () => (path.value = ""),
      first: path,
    },
    digest: {
      title: "a digest in the store",
      fields: [adderField("Digest, or its beginning", digest), executable[0]],
      send: (name) => ask("add_digest", { digest: digest.value, name, executable: program[0].checked }),
      clear: () => (digest.value = ""),
      first: digest,
    },
    output: {
      title: "an output of a run",
      fields: [adderField("Output", output)],
      placeholder: "that of the output",
      open: async () => {
        outputs = await ask("run_outputs");
        const options = outputs.map(({ run, path: of }, at) => el("option", { value: at }, `${of} of ${run}`));
        output.replaceChildren(...(options.length ? options : [el("option", { value: "" }, "no recorded run has outputs")]));
      },
      send: (name) => {
        const chosen = outputs[Number(output.value)];
        if (!chosen) throw new Error("no output is chosen");
        return ask("add_output", { run: chosen.run, index: chosen.index, name });
      },
      clear: () => undefined,
      first: output,
    },
    text: {
      title: "a text",
      fields: [adderField("Text", text), executable[1]],
      send: (name) => ask("add_text", { text: text.value, name, executable: program[1].checked }),
      clear: () => (text.value = ""),
      first: text,
    },
  };
}

function inputAdder(form) {
  const sources = inputSources(form);
  const kind = el("select", {}, Object.entries(sources).map(([value, { title }]) => el("option", { value }, title)));
  const name = adderText({ size: 20 });
  const button = el("button", { type: "button", onclick: () => add() }, "Add input");
  const said = el("div", { role: "status", class: "form-said dim", id: `tvixbuild-form-${++formIds}` });
  const place = el("div", {});
  for (const source of Object.values(sources)) source.first.setAttribute("aria-describedby", said.id);

  function say(text, wrong) {
    said.textContent = text;
    said.className = `form-said ${wrong ? "tvixbuild-problem" : "dim"}`;
    const { first } = sources[kind.value];
    if (wrong) first.setAttribute("aria-invalid", "true");
    else first.removeAttribute("aria-invalid");
  }
  const fail = (error) => say(error.hint ? `${error.message} (${error.hint})` : error.message, true);

  function choose() {
    const source = sources[kind.value];
    say("", false);
    place.replaceChildren(...source.fields);
    name.placeholder = source.placeholder ?? "";
    source.open?.().catch(fail);
  }
  async function add() {
    const source = sources[kind.value];
    try {
      await source.send(name.value);
      source.clear();
      name.value = "";
    } catch (error) {
      fail(error);
    }
  }
  kind.addEventListener("change", choose);
  for (const input of [name, sources.path.first, sources.digest.first])
    input.addEventListener("keydown", (event) => event.key === "Enter" && add());
  form.link.on("input", ({ text, wrong }) => say(text, wrong));
  choose();
  return {
    first: kind,
    node: el("div", { class: "form-adder" }, adderField("Add", kind), place, adderField("Name in the build", name), el("div", { class: "bar" }, button), said),
  };
}

function inputsField(form) {
  const body = el("tbody");
  const head = ["name", "kind", "size", "digest", "from", ""].map((title) =>
    el("th", { scope: "col" }, title || el("span", { class: "unseen" }, "remove")),
  );
  const table = el("table", { "aria-label": "Inputs", class: "form-inputs" }, el("thead", {}, el("tr", {}, head)), body);
  const none = el("div", { class: "dim" }, "none");
  const more = el("div", { class: "dim" });
  const fault = el("div", { class: "tvixbuild-problem", id: `tvixbuild-form-${++formIds}` });
  const adder = inputAdder(form);
  const known = new Map();

  function line(number) {
    const name = textControl({ label: "", hidden: true, send: (text) => form.call("edit", { field: "inputs", number, text }) });
    const [kind, size, from] = [el("td"), el("td"), el("td", { class: "form-origin" })];
    const digest = el("button", { type: "button", class: "mono" });
    const remover = el("button", { type: "button", class: "form-remove" }, "✕");
    let row = null;
    digest.addEventListener("click", () => copyText(row.digest));
    remover.addEventListener("click", async () => {
      const all = [...known.values()];
      const at = all.findIndex((other) => other.node === node);
      await form.call("remove", { field: "inputs", number });
      (all[at + 1]?.remover ?? all[at - 1]?.remover ?? adder.first).focus();
    });
    const held = el("td", {}, el("div", { class: "form-value" }, name.name, name.input, name.note, name.fault));
    const node = el("tr", {}, held, kind, size, el("td", {}, digest), from, el("td", {}, remover));
    return {
      node,
      remover,
      flush: name.flush,
      update: (next, place, faults) => {
        row = next;
        const called = row.key.shown;
        name.relabel(`name of input ${place + 1}`);
        name.set(row.key, faults);
        kind.textContent = row.kind;
        size.textContent = row.size;
        from.textContent = row.origin;
        digest.hidden = !row.digest;
        digest.textContent = row.digest ? `${row.digest.slice(0, 12)}…` : "";
        digest.title = row.digest ?? "";
        digest.setAttribute("aria-label", `copy digest of ${called}`);
        remover.setAttribute("aria-label", `remove input ${called}`);
        remover.title = `remove input ${called}`;
      },
    };
  }

  return {
    node: el("div", {}, table, none, more, fault, adder.node),
    flush: () => Promise.all([...known.values()].map((shown) => shown.flush())),
    update: (data, faults) => {
      arrange(body, known, data.rows, (entry) => line(entry.number));
      data.rows.forEach((row, place) => known.get(row.number).update(row, place, faults.filter((one) => one.row === row.number)));
      tellFaults(adder.first, fault, faults.filter((one) => one.row === null));
      table.hidden = data.rows.length === 0;
      none.hidden = data.rows.length > 0;
      more.textContent = data.hidden ? `and ${data.hidden} more, not shown here` : "";
    },
  };
}

// The request form. The kernel holds the draft, judges it, and sends the parts that changed.

const HERE = 20000; // milliseconds between two signs that this view is displayed

/** A single text with its label in front. */
function textField(form, name, label) {
  const control = textControl({ label, send: (text) => form.call("edit", { field: name, text }), enter: () => undefined });
  return {
    node: el("div", { class: "form-field" }, control.name, el("div", {}, control.input, control.note, control.fault)),
    flush: control.flush,
    update: (data, faults) => control.set(data, faults),
  };
}

function checkField(form, name, label) {
  const control = checkControl({ label, send: (value) => form.call("edit", { field: name, text: value }) });
  return { node: control.node, flush: () => undefined, update: control.set };
}

/** The parts that say how it stands: valid or not, digest, code, and what can be done. */
function summary(form) {
  const state = el("div", { role: "status", class: "form-state" });
  const answer = el("div", { role: "status" });
  const run = el("button", { type: "button", onclick: () => form.run() }, "Run");
  const revert = el("button", { type: "button", onclick: () => form.call("revert") }, "Discard what is not valid");
  const code = el("pre", { tabindex: 0, "aria-label": "Python that makes this request" });
  const copy = el("button", { type: "button", onclick: () => copyText(code.textContent) }, "Copy");
  const digest = el("code");
  return {
    top: el("div", { class: "form-top" }, el("div", { class: "bar" }, run, revert, state), answer),
    bottom: el("details", { open: true }, el("summary", {}, "Python that makes this request"), el("div", { class: "bar" }, copy, el("span", {}, "request digest ", digest)), code),
    say: (node) => answer.replaceChildren(node),
    update: (parts) => {
      const wrong = [...new Set(parts.faults.map((fault) => FORM_TITLES[fault.field] ?? fault.field))];
      const trouble = parts.request.trouble;
      let text = "valid: the sandbox has it";
      if (wrong.length) text = `not valid, and so not in the sandbox: ${wrong.join(", ")}`;
      else if (trouble) text = `not valid: ${trouble}`;
      if (state.textContent !== text) state.textContent = text;
      state.className = `form-state ${wrong.length || trouble ? "bad" : "good"}`;
      run.disabled = wrong.length > 0 || trouble !== null;
      revert.hidden = wrong.length === 0;
      const shown = parts.request.code ?? `# ${trouble.replaceAll("\n", "\n# ")}\n`;
      if (code.textContent !== shown) code.textContent = shown;
      copy.disabled = parts.request.code === null;
      digest.textContent = parts.request.digest ?? "none";
    },
  };
}

const FORM_TITLES = {
  command: "command", env: "environment variables", inputs: "inputs", working_dir: "working directory",
  inputs_dir: "directory of the inputs", scratch_paths: "scratch paths", outputs: "outputs",
  additional_files: "additional files", refscan_needles: "needles", system: "system", min_memory: "memory",
  available_ro_paths: "read-only paths of the host", constrained: "with constraints",
};

function build(form) {
  const rows = (name, noun, rest = {}) => rowsField(form, { name, noun, ...rest });
  const fields = {
    command: commandField(form),
    env: rows("env", "variable", { pair: ["name", "value"] }),
    inputs: inputsField(form),
    working_dir: textField(form, "working_dir", "Working directory"),
    inputs_dir: textField(form, "inputs_dir", "Directory of the inputs"),
    scratch_paths: rows("scratch_paths", "scratch path"),
    outputs: rows("outputs", "output"),
    additional_files: rows("additional_files", "file", { pair: ["path", "contents"], multiline: true }),
    refscan_needles: rows("refscan_needles", "needle"),
    constrained: checkField(form, "constrained", "With constraints"),
    system: textField(form, "system", "System"),
    min_memory: textField(form, "min_memory", "Memory at least, in bytes"),
    network_access: checkField(form, "network_access", "Network access"),
    provide_bin_sh: checkField(form, "provide_bin_sh", "A shell at /bin/sh"),
    available_ro_paths: rows("available_ro_paths", "path"),
  };
  const node = (name) => fields[name].node;
  const limits = el("div", {}, node("system"), node("min_memory"), node("network_access"), node("provide_bin_sh"),
    group("Read-only paths of the host", "absolute, and there when the build starts", node("available_ro_paths")));
  const body = [
    group("Command", null, node("command")),
    group("Environment variables", null, node("env")),
    group("Inputs", "read-only, each by its name in the directory of the inputs", node("inputs")),
    group("Directories", "relative to the root inside; empty is the root", node("working_dir"), node("inputs_dir")),
    group("Scratch paths", "writable, empty when the build starts", node("scratch_paths")),
    group("Outputs", "kept after the build; each lies below a scratch path", node("outputs")),
    group("Additional files", "there when the build starts; writable below a scratch path", node("additional_files")),
    group("Constraints", null, node("constrained"), limits),
    group("Needles", "texts to look for in the outputs", node("refscan_needles")),
  ];
  return { fields, body, limits };
}

function render({ model, el: host }) {
  const top = root(host, "form", "Request form");
  const way = link(model);
  const form = {
    link: way,
    // What goes wrong in a call is said at the top: no input is lost by it.
    call: (name, args) => way.call(name, args).catch((error) => head.say(problem(error))),
    run: async () => {
      try {
        await Promise.all(Object.values(fields).map((field) => field.flush()));
        const id = await way.call("start");
        head.say(el("span", {}, "started run ", el("code", {}, id), ", which is ", el("code", {}, "last_run"), " of this sandbox"));
      } catch (error) {
        head.say(problem(error));
      }
    },
  };
  const head = summary(form);
  const { fields, body, limits } = build(form);
  top.append(head.top, ...body, head.bottom);
  const parts = {};
  const take = (changed) => {
    Object.assign(parts, changed);
    if (!parts.request) return;
    const told = "faults" in changed;
    for (const [name, field] of Object.entries(fields)) {
      if (!(name in changed) && !told && !(name === "command" && "shell" in changed)) continue;
      field.update(parts[name], parts.faults.filter((fault) => fault.field === name), parts);
    }
    limits.hidden = parts.constrained.value !== true;
    head.update(parts);
  };
  way.on("parts", take);
  way.call("begin").then(take, (error) => head.say(problem(error)));
  const alive = setInterval(() => form.call("here"), HERE);
  return () => {
    clearInterval(alive);
    way.close();
  };
}
export default { render };

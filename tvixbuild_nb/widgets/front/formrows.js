// Fields of several rows: a list of texts, or of pairs.

const SHELL_ROW = 2;

/** Rows of the field `name`, each with a number that stays the same; `noun` says what one of them is. */
function rowsField(form, { name, noun, pair, multiline }) {
  const body = el("div", { class: "form-rows" });
  const more = el("div", { class: "dim" });
  const fault = el("div", { class: "tvixbuild-problem", id: `tvixbuild-form-${++formIds}` });
  const adder = el("button", { type: "button", onclick: () => insert() }, `Add ${noun}`);
  const known = new Map();

  async function insert(after) {
    const number = await form.call("add", { field: name, after: after ?? null });
    known.get(number)?.first.focus();
  }

  function row(number, secret) {
    const edit = (part) => (text) => form.call("edit", { field: name, number, part, text });
    const value = textControl({
      label: "",
      hidden: true,
      secret,
      send: edit("cell"),
      enter: multiline ? null : () => insert(number),
    });
    const key = pair && textControl({ label: "", hidden: true, send: edit("key"), enter: () => value.input.focus() });
    const locked = lockedValue(() => {
      anew = true;
      show();
      value.input.focus();
    });
    const other = multiline ? replacer(form, number) : null;
    let anew = false; // what cannot be edited is being typed anew; nothing is lost before the first key
    let now = null;
    const remover = el("button", { type: "button", class: "form-remove", onclick: () => remove() }, "✕");
    const holder = el("div", { class: "form-value" }, value.name, value.input, locked.node, value.note, value.fault, other?.node);
    const side = key && el("div", { class: "form-key" }, key.name, key.input, key.note);
    const node = el("div", { class: `form-row${pair ? " form-pair" : ""}` }, side, holder, remover);

    async function remove() {
      const rows = [...known.values()];
      const at = rows.findIndex((other) => other.node === node);
      await form.call("remove", { field: name, number });
      (rows[at + 1]?.remover ?? rows[at - 1]?.remover ?? adder).focus();
    }

    function show() {
      const fixed = now.value === null && !now.secret && !anew;
      value.input.hidden = fixed;
      value.note.hidden = fixed;
      locked.node.hidden = !fixed;
    }

    return {
      node,
      remover,
      secret,
      first: (key ?? value).input,
      flush: () => Promise.all([key?.flush(), value.flush()]),
      update: (data, place, faults) => {
        const which = `${noun} ${place + 1}`;
        const called = pair ? `${pair[1]} of ${noun} ${place + 1}` : which;
        if (now && now.value !== data.cell.value) anew = false;
        now = data.cell;
        value.relabel(called);
        value.set(now, key ? [] : faults);
        if (now.value === null && !now.secret) locked.set(now, called);
        other?.relabel(called);
        show();
        if (key) {
          key.relabel(`${pair[0]} of ${noun} ${place + 1}`);
          key.set(data.key, []);
          tellFaults(key.input, value.fault, faults, key.note);
        }
        remover.setAttribute("aria-label", `remove ${which}`);
        remover.title = `remove ${which}`;
      },
    };
  }

  function update(data, faults) {
    arrange(body, known, data.rows, (entry) => row(entry.number, entry.cell.secret === true), {
      fits: (shown, entry) => shown.secret === (entry.cell.secret === true),
    });
    data.rows.forEach((entry, place) => known.get(entry.number).update(entry, place, faults.filter((one) => one.row === entry.number)));
    more.textContent = data.hidden ? `and ${data.hidden} more, not shown here` : "";
    tellFaults(adder, fault, faults.filter((one) => one.row === null));
  }

  return {
    node: el("div", {}, body, more, fault, adder),
    update,
    flush: () => Promise.all([...known.values()].map((shown) => shown.flush())),
  };
}

/** The command: a list of arguments, or, where it is one of the shell, its script. */
function commandField(form) {
  const list = rowsField(form, { name: "command", noun: "argument" });
  let number = null;
  let mode = null;
  let latest = null;
  const script = textControl({
    label: "Script, run by /bin/sh -c",
    send: (text) => form.call("edit", { field: "command", number, text }),
    lines: 24,
  });
  const buttons = ["Arguments", "Shell script"].map((title, index) =>
    el("button", { type: "button", onclick: () => choose(index === 1) }, title),
  );
  const area = el("div", { class: "form-script" }, script.name, script.input, script.note, script.fault);

  async function choose(shell) {
    mode = shell;
    if (shell && latest && !latest.shell) await form.call("shell");
    arrange();
  }

  function arrange() {
    const shell = latest.shell && mode !== false;
    const possible = latest.shell || latest.data.rows.length === 0;
    area.hidden = !shell;
    list.node.hidden = shell;
    buttons[0].setAttribute("aria-pressed", String(!shell));
    buttons[1].setAttribute("aria-pressed", String(shell));
    buttons[1].disabled = !possible;
    buttons[1].title = possible ? "" : "only a command of /bin/sh, -c and one text is a shell script";
  }

  return {
    node: el("div", {}, el("div", { class: "bar" }, buttons), area, list.node),
    flush: () => Promise.all([script.flush(), list.flush()]),
    update: (data, faults, parts) => {
      latest = { data, shell: parts.shell };
      if (latest.shell) {
        number = data.rows[SHELL_ROW].number;
        script.set(data.rows[SHELL_ROW].cell, faults.filter((one) => one.row === number || one.row === null));
      }
      list.update(data, faults);
      arrange();
    },
  };
}

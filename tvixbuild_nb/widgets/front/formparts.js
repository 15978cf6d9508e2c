// One field of the request form: an input with its label, what is wrong with it, and what cannot be seen in it.

const PAUSE = 150; // milliseconds without a key before what was typed goes to the kernel
let formIds = 0;

/**
 * A text in an input element. `send(text)` takes it to the kernel; `label` names it, shown or (hidden) for screen readers.
 * What the kernel says never replaces what is being typed, and never moves the cursor.
 */
function textControl({ label, hidden, secret, send, enter, lines }) {
  const id = `tvixbuild-form-${++formIds}`;
  const input = secret
    ? el("input", { id, type: "password", autocomplete: "off" })
    : el("textarea", { id, rows: 1, spellcheck: "false", autocomplete: "off", autocapitalize: "off", class: "mono" });
  const name = el("label", { for: id, class: hidden ? "unseen" : null }, label);
  const note = el("div", { class: "dim form-note", id: `${id}-note` });
  const fault = el("div", { class: "tvixbuild-problem form-fault", id: `${id}-fault` });
  let cell = null;
  let timer = 0;
  let waiting = 0;
  const fit = () => {
    if (!secret) input.rows = Math.min(lines ?? 12, input.value.split("\n").length);
  };
  const focused = () => input.ownerDocument.activeElement === input;
  const show = () => {
    if (!cell || timer || waiting || (secret && focused())) return;
    const text = cell.value ?? "";
    if (input.value !== text) {
      const [from, to] = [input.selectionStart, input.selectionEnd];
      input.value = text;
      if (focused()) input.setSelectionRange(Math.min(from, text.length), Math.min(to, text.length));
    }
    fit();
  };
  const flush = async () => {
    if (!timer) return;
    clearTimeout(timer);
    timer = 0;
    waiting += 1;
    const text = cell?.windows ? input.value.replaceAll("\n", "\r\n") : input.value;
    try {
      await send(text);
    } finally {
      waiting -= 1;
      show();
    }
  };
  input.addEventListener("input", () => {
    fit();
    clearTimeout(timer);
    timer = setTimeout(flush, PAUSE);
  });
  input.addEventListener("blur", async () => {
    await flush();
    show();
  });
  input.addEventListener("keydown", async (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || !enter) return;
    event.preventDefault();
    await flush();
    enter();
  });
  return {
    input,
    name,
    note,
    fault,
    flush,
    relabel: (text) => name.textContent !== text && (name.textContent = text),
    set: (next, faults) => {
      cell = next;
      if (secret) input.placeholder = cell.shown;
      const odd = cell.odd ? `holds characters that cannot be seen: ${cell.shown}` : "";
      const locked = !secret && cell.value === null ? `now ${cell.shown} (${cell.why}); what is typed here replaces it` : "";
      note.textContent = locked || odd;
      tellFaults(input, fault, faults, note);
      show();
    },
  };
}

/** Write what is wrong beside an input, and tell screen readers that it belongs to it. */
function tellFaults(input, place, faults, note) {
  const text = faults.map((fault) => (fault.hint ? `${fault.message} (${fault.hint})` : fault.message)).join("; ");
  if (place.textContent !== text) place.textContent = text;
  if (text) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
  const said = [text && place.id, note?.textContent && note.id].filter(Boolean).join(" ");
  if (said) input.setAttribute("aria-describedby", said);
  else input.removeAttribute("aria-describedby");
}

/** A yes or no. */
function checkControl({ label, send }) {
  const id = `tvixbuild-form-${++formIds}`;
  const input = el("input", { id, type: "checkbox", onchange: () => send(input.checked) });
  const fault = el("div", { class: "tvixbuild-problem form-fault", id: `${id}-fault` });
  return {
    node: el("div", {}, el("div", { class: "form-check" }, input, el("label", { for: id }, label)), fault),
    set: (cell, faults) => {
      input.checked = cell.value === true;
      tellFaults(input, fault, faults);
    },
  };
}

/** A group of fields under a title; `hint` says in a line what belongs there. */
function group(title, hint, ...children) {
  const id = `tvixbuild-form-${++formIds}`;
  const about = hint ? el("div", { class: "dim form-hint", id }, hint) : null;
  return el("fieldset", { "aria-describedby": hint ? id : null }, el("legend", {}, title), about, children);
}

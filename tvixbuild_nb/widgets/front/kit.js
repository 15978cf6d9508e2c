// What every view's front end is made with. Text from the kernel goes in as text, never as markup.

/** An element: el("td", {class: "x", onclick: f}, "text", child, ...). */
function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else node.setAttribute(key, String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** The way to the kernel: call(name, args, buffers) -> Promise of the value (ask: of {value, buffers}); on(topic, f). */
function link(model) {
  let last = 0;
  const waiting = new Map();
  const topics = new Map();
  const hear = (content, buffers) => {
    if (content.answer !== undefined) {
      const entry = waiting.get(content.answer);
      waiting.delete(content.answer);
      if (!entry) return;
      if (content.error !== undefined) entry.reject(Object.assign(new Error(content.error), { hint: content.hint }));
      else entry.resolve({ value: content.value, buffers });
    } else if (topics.has(content.topic)) topics.get(content.topic)(content.value, buffers);
  };
  model.on("msg:custom", hear);
  // Several views of one model hear each other's answers: numbers must not meet.
  const base = Math.floor(Math.random() * 2 ** 30) * 2 ** 20;
  const ask = (name, args = {}, buffers = []) =>
    new Promise((resolve, reject) => {
      const number = base + ++last;
      waiting.set(number, { resolve, reject });
      model.send({ call: number, name, arguments: args }, undefined, buffers);
    });
  return {
    ask,
    call: async (name, args, buffers) => (await ask(name, args, buffers)).value,
    on: (topic, hearer) => topics.set(topic, hearer),
    close: () => model.off("msg:custom", hear),
  };
}

/** The root of a view; keys typed in it do not reach the notebook's command mode. */
function root(host, name, label, note) {
  const node = el("div", { class: `tvixbuild tvixbuild-${name}`, role: "region", "aria-label": label });
  if (note) node.append(el("div", { class: "note dim" }, note));
  node.dataset.lmSuppressShortcuts = "true";
  for (const kind of ["keydown", "keypress", "keyup"]) node.addEventListener(kind, (event) => event.stopPropagation());
  host.append(node);
  return node;
}

/** Copy text; a page without clipboard permission still can, through a selection. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el("textarea", { style: "position:fixed;opacity:0" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** Bytes for people: 1.5 MB, decimal units. */
function humanBytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < 4) {
    count /= 1000;
    unit += 1;
  }
  return unit ? `${count.toFixed(1)} ${units[unit]}` : `${count} B`;
}

/** A line that says what went wrong, politely to screen readers as well. */
function problem(error) {
  const hint = error.hint ? ` (${error.hint})` : "";
  return el("div", { class: "tvixbuild-problem", role: "alert" }, `${error.message}${hint}`);
}

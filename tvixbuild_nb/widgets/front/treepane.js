// What the chosen entry holds: facts, copy, download, export, and a bounded look at its contents.

/** deps: ask (value and buffers), call, failed, sum. */
function treePane(deps) {
  const pane = el("section", { class: "pane", "aria-label": "Details", hidden: true });
  let url = null;
  let number = 0;
  let exported = null;

  function close() {
    number += 1;
    if (url) URL.revokeObjectURL(url);
    url = null;
    pane.hidden = true;
    pane.replaceChildren();
  }

  const copier = (title, text) => {
    const button = el("button", { type: "button" }, title);
    button.addEventListener("click", async () => {
      await copyText(text);
      button.textContent = "copied";
      setTimeout(() => (button.textContent = title), 900);
    });
    return button;
  };

  async function show(at, row) {
    const mine = ++number;
    let facts, buffers;
    try {
      const answer = await deps.ask("look", { at });
      [facts, buffers] = [answer.value, answer.buffers];
    } catch (error) {
      if (mine === number) deps.failed(error);
      return;
    }
    if (mine !== number) return;
    if (url) URL.revokeObjectURL(url);
    url = null;
    const status = el("span", { role: "status", class: "dim" });
    const bar = el("div", { class: "bar" }, copier("Copy path", facts.path), facts.digest && copier("Copy digest", facts.digest), copier("Copy code to open it as Tree", facts.code));
    if (facts.size !== undefined) bar.append(el("button", { type: "button", onclick: () => download(at, facts, status).catch((error) => status.replaceChildren(problem(error))) }, "Download"));
    bar.append(exportForm(at, status));
    if (row.entries !== undefined) bar.append(sumButton(at, row));
    bar.append(status, el("button", { type: "button", class: "close", "aria-label": "Close details", onclick: deps.close }, "×"));
    const lines = [["path", facts.path], ["digest", facts.digest], ["target", facts.target], ["before", facts.before], ["now", facts.now], ["used by the build", facts.used], ["looked for in vain", facts.missing?.join(", ")]];
    const list = el("dl", {}, lines.filter(([, text]) => text).flatMap(([title, text]) => [el("dt", {}, title), el("dd", { class: "mono" }, text)]));
    const code = el("details", {}, el("summary", {}, "open as Tree"), el("pre", { tabindex: 0 }, facts.code));
    pane.replaceChildren(bar, list, code, ...contents(at, facts, buffers));
    pane.hidden = false;
  }

  function sumButton(at, row) {
    const button = el("button", { type: "button" }, "Sum bytes below");
    button.addEventListener("click", async () => {
      button.disabled = true;
      const below = await deps.sum(at, row);
      button.textContent = below === undefined ? "cannot be summed: something is missing" : `${humanBytes(below)} below`;
    });
    return button;
  }

  function exportForm(at, status) {
    const dest = el("input", { type: "text", "aria-label": "Export to this path", placeholder: "path that does not exist yet", size: 22 });
    const form = el("form", { class: "bar" }, dest, el("button", { type: "submit" }, "Export"));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      exported = { at, status };
      status.textContent = "exporting…";
      try {
        await deps.call("export", { at, dest: dest.value });
      } catch (error) {
        status.replaceChildren(problem(error));
      }
    });
    return form;
  }

  /** The kernel's word on an export. */
  function told({ at, dest, error }) {
    if (!exported || String(exported.at) !== String(at)) return;
    if (error) exported.status.replaceChildren(problem({ message: error }));
    else exported.status.textContent = `exported to ${dest}`;
  }

  async function download(at, facts, status) {
    const pieces = [];
    for (let offset = 0, done = false; !done; ) {
      const answer = await deps.ask("piece", { at, offset });
      pieces.push(answer.buffers[0]);
      offset += answer.buffers[0].byteLength;
      done = answer.value.done;
      status.textContent = `${humanBytes(offset)} of ${humanBytes(facts.size)}`;
    }
    const whole = URL.createObjectURL(new Blob(pieces, { type: "application/octet-stream" }));
    el("a", { href: whole, download: facts.path.split("/").pop() }).click();
    setTimeout(() => URL.revokeObjectURL(whole), 10_000);
  }

  function contents(at, facts, buffers) {
    if (facts.problem) return [problem({ message: facts.problem })];
    if (facts.form === "none") return [];
    const note = facts.shown < facts.size ? el("p", { class: "dim" }, `the first ${humanBytes(facts.shown)} of ${humanBytes(facts.size)}`) : null;
    if (facts.form === "image") {
      url = URL.createObjectURL(new Blob([buffers[0]], { type: facts.type }));
      const image = el("img", { src: url, alt: `${facts.path}, ${humanBytes(facts.size)}` });
      image.addEventListener("error", () => image.replaceWith(problem({ message: "the browser cannot read this image" })));
      return [image];
    }
    if (facts.form === "hex") return [hexDump(at, facts, buffers[0])];
    const text = el("pre", { tabindex: 0, role: "region", "aria-label": `Contents (${facts.form})` });
    if (facts.form === "diff") for (const line of facts.text.split("\n")) text.append(el("span", { class: line[0] === "+" ? "good" : line[0] === "-" ? "bad" : line[0] === "@" ? "dim" : undefined }, `${line}\n`));
    else if (facts.form === "json" && facts.text.length < 100_000) text.append(...jsonSpans(facts.text));
    else text.textContent = facts.text;
    return [text, ...(note ? [note] : [])];
  }

  /** Keys and strings told apart by colour; numbers and words as well. */
  function jsonSpans(text) {
    const spans = [];
    let done = 0;
    for (const found of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|-?\d[\d.eE+-]*|true|false|null/g)) {
      spans.push(text.slice(done, found.index), el("span", { class: found[2] ? "key" : found[1] ? "good" : "warn" }, found[1] ?? found[0]), found[2] ?? "");
      done = found.index + found[0].length;
    }
    return [...spans, text.slice(done)];
  }

  function hexDump(at, facts, buffer) {
    const text = el("pre", { tabindex: 0, role: "region", "aria-label": "Contents (bytes)" });
    const where = el("span", { class: "dim", role: "status" });
    let offset = 0;
    let length = buffer.byteLength;
    const fillIn = (view) => {
      const bytes = new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);
      const lines = [];
      for (let start = 0; start < bytes.length; start += 16) {
        const part = [...bytes.subarray(start, start + 16)];
        const hex = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
        const plain = part.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
        lines.push(`${(offset + start).toString(16).padStart(8, "0")}  ${hex.padEnd(47)}  ${plain}`);
      }
      text.textContent = lines.join("\n");
      length = bytes.length;
      where.textContent = `bytes ${offset} to ${offset + length} of ${facts.size}`;
    };
    fillIn(buffer);
    const turn = async (to) => {
      try {
        const answer = await deps.ask("hex", { at, offset: Math.max(0, to) });
        offset = answer.value.offset;
        fillIn(answer.buffers[0]);
      } catch (error) {
        deps.failed(error);
      }
    };
    const button = (title, go) => el("button", { type: "button", onclick: go }, title);
    const bar = el("div", { class: "bar" }, button("Previous bytes", () => turn(offset - 4096)), button("Next bytes", () => offset + length < facts.size && turn(offset + length)), where);
    return el("div", {}, facts.size > length ? bar : null, text);
  }

  return { pane, show, close, told };
}

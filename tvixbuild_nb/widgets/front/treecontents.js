// A bounded look at what a file holds: text with its colours, a difference, an image, bytes.

/** deps: ask (value and buffers), failed. Of what was made last, release() lets go. */
function treeContents(deps) {
  let url = null;

  function release() {
    if (url) URL.revokeObjectURL(url);
    url = null;
  }

  function made(at, facts, buffers) {
    release();
    if (facts.problem) return [problem({ message: facts.problem })];
    if (facts.form === "none") return [];
    const note = facts.shown < facts.size ? el("p", { class: "dim" }, `the first ${humanBytes(facts.shown)} of ${humanBytes(facts.size)}`) : null;
    if (facts.form === "image") return [picture(facts, buffers[0])];
    if (facts.form === "hex") return [hexDump(at, facts, buffers[0])];
    const text = el("pre", { tabindex: 0, role: "region", "aria-label": `Contents (${facts.form})` });
    if (facts.form === "diff") text.append(...facts.text.split("\n").map(changedLine));
    else text.append(...coloured(facts.text, facts.runs ?? []));
    return [text, ...(note ? [note] : [])];
  }

  function picture(facts, bytes) {
    url = URL.createObjectURL(new Blob([bytes], { type: facts.type }));
    const image = el("img", { src: url, alt: `${facts.path}, ${humanBytes(facts.size)}` });
    image.addEventListener("error", () => image.replaceWith(problem({ message: "the browser cannot read this image" })));
    return image;
  }

  const changedLine = (line) => el("span", { class: { "+": "good", "-": "bad", "@": "dim" }[line[0]] }, `${line}\n`);

  /** Runs count characters as Python does: those beyond the first plane are two here. */
  function coloured(text, runs) {
    const parts = [];
    let at = 0;
    for (const [length, kind] of runs) {
      let end = at + length;
      if (ASTRAL.test(text)) end = at + [...text.slice(at, at + 2 * length)].slice(0, length).join("").length;
      const part = text.slice(at, end);
      parts.push(kind ? el("span", { class: `t-${kind}` }, part) : part);
      at = end;
    }
    return [...parts, text.slice(at)];
  }

  function hexDump(at, facts, buffer) {
    const text = el("pre", { tabindex: 0, role: "region", "aria-label": "Contents (bytes)" });
    const where = el("span", { class: "dim", role: "status" });
    let offset = 0;
    let length = 0;
    const fillIn = (view, hidden) => {
      const bytes = new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);
      const secret = (index) => hidden.some(([begin, end]) => begin <= index && index < end);
      const lines = [];
      for (let start = 0; start < bytes.length; start += 16) {
        const part = [...bytes.subarray(start, start + 16)].map((byte, i) => (secret(start + i) ? null : byte));
        const hex = part.map((byte) => (byte === null ? "**" : byte.toString(16).padStart(2, "0"))).join(" ");
        const plain = part.map((byte) => (byte === null ? "*" : byte > 31 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
        lines.push(`${(offset + start).toString(16).padStart(8, "0")}  ${hex.padEnd(47)}  ${plain}`);
      }
      text.textContent = lines.join("\n");
      length = bytes.length;
      where.textContent = `bytes ${offset} to ${offset + length} of ${facts.size}`;
    };
    fillIn(buffer, facts.hidden);
    const turn = async (to) => {
      try {
        const answer = await deps.ask("hex", { at, offset: Math.max(0, to) });
        offset = answer.value.offset;
        fillIn(answer.buffers[0], answer.value.hidden);
      } catch (error) {
        deps.failed(error);
      }
    };
    const button = (title, go) => el("button", { type: "button", onclick: go }, title);
    const bar = el("div", { class: "bar" }, button("Previous bytes", () => turn(offset - 4096)), button("Next bytes", () => offset + length < facts.size && turn(offset + length)), where);
    return el("div", {}, facts.size > length ? bar : null, text);
  }

  return { made, release };
}
const ASTRAL = /[\ud800-\udfff]/;

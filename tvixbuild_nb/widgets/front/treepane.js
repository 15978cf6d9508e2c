// What the chosen entry holds: facts, copy, download, export, and a bounded look at its contents.
const SECRETS = "are left out of what is shown; what is downloaded or exported is the file as it is, with them";

/** deps: ask (value and buffers), call, failed, sum. */
function treePane(deps) {
  const pane = el("section", { class: "pane", "aria-label": "Details", hidden: true });
  const contents = treeContents(deps);
  let number = 0;
  let exported = null;

  function close() {
    number += 1;
    contents.release();
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
    const status = el("span", { role: "status", class: "dim" });
    const bar = el("div", { class: "bar" }, copier("Copy path", facts.path), facts.digest && copier("Copy digest", facts.digest), copier("Copy code to open it as Tree", facts.code));
    if (facts.size !== undefined) bar.append(el("button", { type: "button", onclick: () => download(at, facts, status).catch((error) => status.replaceChildren(problem(error))) }, "Download"));
    bar.append(exportForm(at, status));
    if (row.entries !== undefined) bar.append(sumButton(at, row));
    bar.append(status, el("button", { type: "button", class: "close", "aria-label": "Close details", onclick: deps.close }, "×"));
    const lines = [["path", facts.path], ["digest", facts.digest], ["target", facts.target], ["before", facts.before], ["now", facts.now], ["used by the build", facts.used], ["looked for in vain", facts.missing?.join(", ")], ["needles", facts.needles?.join(", ")], ["secrets", facts.secrets && SECRETS]];
    const terms = el("dl", {}, lines.filter(([, text]) => text).flatMap(([title, text]) => [el("dt", {}, title), el("dd", { class: "mono" }, text)]));
    const list = el("div", { class: "facts", tabindex: 0, role: "group", "aria-label": "Facts" }, terms);
    const code = el("details", {}, el("summary", {}, "open as Tree"), el("pre", { tabindex: 0 }, facts.code));
    pane.replaceChildren(bar, list, code, ...contents.made(at, facts, buffers));
    pane.hidden = false;
    if (facts.problem) row.problem = facts.problem;
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

  return { pane, show, close, told };
}

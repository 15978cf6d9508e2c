// What cannot be edited as text: its size and beginning, and the ways to put something else in its place.

const FORM_PIECE = 1 << 20; // bytes of an upload in one message

/** A file of the browser's machine, in pieces: servers refuse long messages. */
async function uploadFile(form, number, file, say) {
  for (let at = 0; ; at += FORM_PIECE) {
    const piece = await file.slice(at, at + FORM_PIECE).arrayBuffer();
    const last = at + piece.byteLength >= file.size;
    await form.link.call("file_piece", { number, at, last }, [new DataView(piece)]);
    say(last ? `uploaded ${file.name} (${humanBytes(file.size)})` : `uploading: ${humanBytes(at)} of ${humanBytes(file.size)}`);
    if (last) return;
  }
}

/** Replace the contents of an additional file: by an upload, or by what is in a file of this host. */
function replacer(form, number) {
  const said = el("div", { role: "status", class: "dim" });
  const say = (text, wrong) => {
    said.textContent = text;
    said.className = wrong ? "tvixbuild-problem" : "dim";
  };
  const doing = async (work) => {
    try {
      await work();
    } catch (error) {
      say(error.hint ? `${error.message} (${error.hint})` : error.message, true);
    }
  };
  const upload = el("input", { type: "file" });
  upload.addEventListener("change", () => {
    const [file] = upload.files;
    if (file) doing(() => uploadFile(form, number, file, say)).then(() => (upload.value = ""));
  });
  const path = el("input", { type: "text", class: "mono", size: 30, spellcheck: "false", autocomplete: "off" });
  const take = () =>
    doing(async () => {
      await form.link.call("file_from_path", { number, path: path.value });
      say(`taken from ${path.value}`);
    });
  path.addEventListener("keydown", (event) => event.key === "Enter" && take());
  const button = el("button", { type: "button", onclick: take }, "Take");
  const title = el("summary", {}, "Replace the contents");
  const fields = [el("label", {}, "with an upload ", upload), el("label", {}, "with a file of this host ", path), button];
  const node = el("details", { class: "form-replace" }, title, el("div", { class: "bar" }, fields), said);
  return { node, relabel: (text) => title.setAttribute("aria-label", `replace the ${text}`) };
}

/** What stands in the place of an input for a value that is none: why, how large, how it begins. */
function lockedValue(anew) {
  const words = el("span", { class: "mono form-locked" });
  const dump = el("pre", { class: "form-hex", tabindex: 0, role: "group" }); // it scrolls, by keys as well
  const button = el("button", { type: "button", onclick: anew }, "Type anew");
  const node = el("div", {}, words, dump, button);
  return {
    node,
    set: (cell, which) => {
      words.textContent = `${cell.hex ? "" : `${cell.shown.slice(0, 300)} `}(${humanBytes(cell.size)}, ${cell.why})`;
      dump.textContent = (cell.hex ?? []).join("\n");
      dump.hidden = !cell.hex?.length;
      dump.setAttribute("aria-label", `beginning of the ${which}`);
      button.setAttribute("aria-label", `type the ${which} anew`);
    },
  };
}

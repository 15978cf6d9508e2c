const LOG_STREAMS = ["", "err", "tty"];
const LOG_STREAM_NAMES = ["standard output", "standard error", "terminal"];

/** So many lines, in words. */
function logLines(count) {
  return `${count.toLocaleString("en")} ${count === 1 ? "line" : "lines"}`;
}

/** The lines a pane has at hand; those longest unasked go first. */
class LogCache {
  constructor(most = 5000) {
    this.most = most;
    this.lines = new Map();
    this.held = new Set(); // lines whose ends the kernel holds back for now
    this.settled = 0;
  }

  /** Lines from the kernel, of which those behind `settled` may still change. */
  put(lines, settled = this.settled) {
    for (const line of lines) {
      this.lines.delete(line.n);
      this.lines.set(line.n, line);
      if (line.h) this.held.add(line.n);
    }
    this.settled = Math.max(settled, this.settled);
    const spare = this.lines.size - this.most;
    const keys = this.lines.keys();
    for (let i = 0; i < spare; i++) this.lines.delete(keys.next().value);
  }

  /** What had no end the last time, or was not shown to it, is asked for anew. */
  forgetUnsettled() {
    for (const n of this.held) this.lines.delete(n);
    this.held.clear();
    for (let n = this.settled + 1; n <= this.settled + 3; n++) this.lines.delete(n);
  }

  get(number) {
    return this.lines.get(number);
  }
}

function logText(line) {
  return line.p ? line.p.map(([text]) => text).join("") : line.x;
}

function logTime(time, mode, began) {
  if (mode === "relative") {
    const seconds = Math.max(0, time - (began ?? time));
    const minutes = Math.floor(seconds / 60);
    return `${minutes}:${(seconds - 60 * minutes).toFixed(3).padStart(6, "0")}`;
  }
  const date = new Date(time * 1000);
  const two = (value) => String(value).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** Text in a style; `tLLLLLLDDDDDD` is its colour in light and dark themes, `oRRGGBB` what is behind it. */
function logSpan(text, classes) {
  if (!classes) return text;
  const names = [];
  const colours = [];
  for (const name of classes.split(" ")) {
    if (name[0] === "t") colours.push(`--sgr-light:#${name.slice(1, 7)};--sgr-dark:#${name.slice(7)}`);
    else if (name[0] === "o") colours.push(`--sgr-on:#${name.slice(1)}`);
    names.push(`sgr-${name[0] === "t" || name[0] === "o" ? name[0] : name}`);
  }
  return el("span", { class: names.join(" "), style: colours.length ? colours.join(";") : null }, text);
}

/** The parts of a line, with what a search found in it marked. */
function logParts(line, ranges) {
  const parts = line.p ?? [[line.x, ""]];
  if (!ranges?.length) return parts.map(([text, classes]) => logSpan(text, classes));
  const nodes = [];
  let at = 0;
  for (const [text, classes] of parts) {
    let from = 0;
    for (const [start, end] of ranges) {
      const a = Math.max(from, start - at);
      const b = Math.min(text.length, end - at);
      if (b <= a) continue;
      nodes.push(logSpan(text.slice(from, a), classes), el("mark", {}, text.slice(a, b)));
      from = b;
    }
    nodes.push(logSpan(text.slice(from), classes));
    at += text.length;
  }
  return nodes;
}

/** One row. `view`: {times, began, hit, folds, chosen, total, onfold(fold), onmore(line)}. */
function logRow(number, line, view) {
  if (!line) return el("div", { class: "log-row log-waits" }, el("span", { class: "log-n" }, `${number}`), el("span", { class: "log-x" }, "…"));
  const hit = view.hit?.number === number;
  const kind = `log-row log-s${line.s}${line.k ? ` log-${line.k}` : ""}${hit ? " log-hit" : ""}${view.chosen.has(number) ? " log-chosen" : ""}`;
  const row = el("div", { class: kind }, el("span", { class: "log-n" }, `${number}`));
  if (view.times !== "off") row.append(el("span", { class: "log-t" }, logTime(line.t, view.times, view.began)));
  row.append(el("span", { class: "log-s", title: LOG_STREAM_NAMES[line.s] }, LOG_STREAMS[line.s]));
  const folds = view.folds.at(number);
  for (const fold of folds.filter((fold) => fold.kind === "phase")) {
    const folded = view.folds.isFolded(fold);
    const label = `${folded ? "unfold" : "fold"} phase ${fold.name}`;
    row.append(el("button", { class: "log-fold", "aria-expanded": `${!folded}`, "aria-label": label, onclick: () => view.onfold(fold) }, folded ? "▸" : "▾"));
  }
  row.append(el("span", { class: "log-x" }, logParts(line, hit ? view.hit.ranges : null)));
  if (line.more) row.append(el("button", { class: "log-more", onclick: () => view.onmore(line) }, `${line.more} more characters`));
  for (const fold of folds) {
    const count = (fold.last ?? view.total) - fold.first + 1;
    const folded = view.folds.isFolded(fold);
    if (fold.kind === "repeat")
      row.append(el("button", { class: "log-fold", "aria-expanded": `${!folded}`, onclick: () => view.onfold(fold) }, `repeated ${count} times`));
    else if (folded) row.append(el("span", { class: "log-folded" }, `${count - 1} lines folded`));
  }
  return row;
}

/** Let `parent` hold these nodes in this order; those that stay are not touched, so that a selection in them stays, too. */
function logLay(parent, nodes) {
  let at = parent.firstChild;
  for (const node of nodes) {
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

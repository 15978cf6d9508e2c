// The parts of a run's view: what is drawn anew whenever the kernel tells of a change.

const RUN_MARKS = { waiting: "○", active: "▶", done: "✓", failed: "✗", skipped: "–", stopped: "■" };
const RUN_TONES = { succeeded: "good", failed: "bad", "timed-out": "bad", cancelled: "warn", running: "" };

/** A duration as the kernel would word it. */
function runSeconds(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** The stages in the order of a build's life; the one that goes on is the current step. */
function runStages(stages) {
  return stages.map((stage) =>
    el(
      "li",
      { class: `run-stage run-${stage.state}`, "aria-current": stage.state === "active" ? "step" : null, title: stage.detail },
      el("span", { class: "run-mark", "aria-hidden": "true" }, RUN_MARKS[stage.state]),
      el("span", { class: "run-name" }, stage.name, el("span", { class: "run-said" }, ` ${stage.state}`)),
      el("span", { class: "run-took dim", "data-stage": stage.name }, stage.took ?? ""),
    ),
  );
}

/** What it uses now, amount by amount, and where the figures come from. */
function runUse(use) {
  const figures = Object.entries(use.figures).map(([name, text]) => el("span", { class: "run-figure" }, el("span", { class: "dim" }, `${name} `), text));
  return [...figures, el("span", { class: "dim run-source" }, figures.length ? `(${use.source})` : use.source)];
}

function runRow(name, ...value) {
  return el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value));
}

/** The verdict: how it ended, whose fault, what to do, what it did without, what it used. */
function runEnd(end) {
  const list = (texts) => el("ul", {}, texts.map((text) => el("li", {}, text)));
  const figures = Object.entries(end.usage.figures).map(([name, text]) => `${name} ${text}`);
  const written = end.written === null ? [] : [...end.written, ...(end.written_more ? [`and ${end.written_more} more`] : [])];
  return el(
    "table",
    { class: "run-end" },
    el(
      "tbody",
      {},
      end.fault ? runRow("whose fault", end.fault) : null,
      end.message ? runRow("message", el("span", { class: "bad" }, end.message)) : null,
      end.hint ? runRow("hint", end.hint) : null,
      end.exit ? runRow("the command", end.exit) : null,
      end.degraded.length > 0 ? runRow("without", list(end.degraded)) : null,
      runRow("used", figures.join(", ") || "nothing measured", el("span", { class: "dim" }, ` (${end.usage.source})`)),
      end.how.length > 0 ? runRow("by", end.how.join(", ")) : null,
      end.bundle ? runRow("kept bundle", el("code", {}, end.bundle)) : null,
      end.written !== null ? runRow("written", list(written.length ? written : ["nothing"])) : null,
    ),
  );
}

/** Why it failed: each cause with what it is known from and what to do. */
function runFindings(findings) {
  if (findings.length === 0) return [];
  const one = (found) =>
    el(
      "div",
      {},
      el("div", { class: "bad" }, `${found.cause} (${found.confidence})`),
      el("ul", {}, found.evidence.map((text) => el("li", {}, text))),
      el("pre", { style: "white-space:pre-wrap" }, found.cure),
    );
  return [el("section", { "aria-label": "why it failed" }, findings.map(one))];
}

/** What came out, or was refused: `what` says which. */
function runOutputs(outputs, what) {
  const head = [what, "kind", "size", "digest", "needles"];
  const digest = (text) =>
    el("button", { class: "mono", title: `copy ${text}`, onclick: () => copyText(text) }, text.slice(0, 16), el("span", { class: "run-said" }, ": copy digest"));
  return el(
    "table",
    { class: "run-outputs" },
    el("thead", {}, el("tr", {}, head.map((name) => el("th", { scope: "col" }, name)))),
    el(
      "tbody",
      {},
      outputs.map((output) =>
        el(
          "tr",
          {},
          el("td", { class: "mono" }, output.path),
          el("td", {}, output.kind),
          el("td", {}, output.size),
          el("td", {}, output.digest ? digest(output.digest) : ""),
          el("td", { class: "mono" }, output.needles.join(", ")),
        ),
      ),
    ),
  );
}

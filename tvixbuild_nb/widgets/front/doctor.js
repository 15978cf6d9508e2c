const DOCTOR_MARKS = { ok: ["✓", "good"], warn: ["!", "warn"], fail: ["✗", "bad"] };

/** A command with a button that copies it. */
function doctorCommand(text, what) {
  const button = el("button", { "aria-label": `copy what mends ${what}` }, "copy");
  button.addEventListener("click", async () => {
    await copyText(text);
    button.textContent = "copied";
    setTimeout(() => (button.textContent = "copy"), 1500);
  });
  return el("div", { class: "bar" }, el("code", {}, text), button);
}

function doctorCheck(check) {
  const [mark, colour] = DOCTOR_MARKS[check.status];
  const words = el("td", {}, check.reason, check.remedy ? doctorCommand(check.remedy, check.name) : null);
  return el(
    "tr",
    { "data-status": check.status },
    el("td", { class: colour }, `${mark} ${check.sign}`),
    el("th", { scope: "row" }, check.name),
    words,
    el("td", { class: "dim" }, check.did),
  );
}

function doctorGroup(group, open) {
  const wrong = group.checks.filter((check) => check.status !== "ok").length;
  const said = wrong ? `${wrong} of ${group.checks.length} not as it could be` : "works";
  const head = el("summary", {}, el("b", {}, group.name), ": ", el("span", { class: wrong ? "warn" : "good" }, said));
  return el("details", { open: wrong > 0 || open }, head, el("table", {}, el("tbody", {}, group.checks.map(doctorCheck))));
}

function render({ model, el: host }) {
  const kernel = link(model);
  const top = root(host, "doctor", "Doctor");
  const verdict = el("b", { role: "status" });
  const took = el("span", { class: "dim" });
  const all = el("button", { "aria-pressed": "false" }, "open all");
  const again = el("button", {}, "examine again");
  const trouble = el("div");
  const body = el("div");
  top.append(el("div", { class: "bar" }, verdict, took, all, again), trouble, body);

  all.addEventListener("click", () => {
    const on = all.getAttribute("aria-pressed") !== "true";
    all.setAttribute("aria-pressed", `${on}`);
    body.replaceChildren(...parts(model.get("report"), () => on));
  });
  again.addEventListener("click", () => {
    // Not disabled while it goes on: a button that is loses the keyboard's place.
    if (!model.get("busy")) kernel.call("examine").catch(complain);
  });
  const complain = (error) => trouble.replaceChildren(problem(error));

  function parts(report, isOpen) {
    const marks = report.evidence.length ? ` (${report.evidence.join("; ")})` : "";
    const host = el("div", {}, `host: ${report.host}${marks}${report.note ? `; ${report.note}` : ""}`);
    const start = report.start_with ? [el("div", {}, "start this container with:"), doctorCommand(report.start_with, "this container")] : [];
    return [host, ...start, ...report.groups.map((group) => doctorGroup(group, isOpen(group.name)))];
  }
  function draw() {
    const report = model.get("report");
    const open = new Set([...body.querySelectorAll("details[open] > summary > b")].map((name) => name.textContent));
    verdict.textContent = report.verdict;
    verdict.className = report.ok ? "good" : "bad";
    body.replaceChildren(...parts(report, (name) => open.has(name)));
  }
  function work() {
    const busy = model.get("busy");
    again.hidden = !model.get("again");
    again.setAttribute("aria-disabled", `${busy}`);
    took.textContent = busy ? "being examined…" : `examined in ${model.get("report").seconds}`;
    const text = model.get("trouble");
    trouble.replaceChildren(...(text ? [problem(new Error(text))] : []));
  }
  const hearers = { "change:report": draw, "change:busy": work, "change:trouble": work };
  for (const [event, hearer] of Object.entries(hearers)) model.on(event, hearer);
  draw();
  work();
  return () => {
    for (const [event, hearer] of Object.entries(hearers)) model.off(event, hearer);
    kernel.close();
  };
}
export default { render };

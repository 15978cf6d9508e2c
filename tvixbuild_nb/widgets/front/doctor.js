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

function doctorGroup(group) {
  const wrong = group.checks.filter((check) => check.status !== "ok").length;
  const said = wrong ? `${wrong} of ${group.checks.length} not as it could be` : "works";
  const head = el("summary", {}, el("b", {}, group.name), ": ", el("span", { class: wrong ? "warn" : "good" }, said));
  return el("details", { open: wrong > 0 }, head, el("table", {}, el("tbody", {}, group.checks.map(doctorCheck))));
}

function render({ model, el: host }) {
  const report = model.get("report");
  const top = root(host, "doctor", "Doctor");
  const groups = report.groups.map(doctorGroup);
  const all = el("button", { "aria-pressed": "false" }, "open all");
  all.addEventListener("click", () => {
    const on = all.getAttribute("aria-pressed") !== "true";
    all.setAttribute("aria-pressed", `${on}`);
    report.groups.forEach((group, n) => (groups[n].open = on || group.checks.some((check) => check.status !== "ok")));
  });
  const marks = report.evidence.length ? ` (${report.evidence.join("; ")})` : "";
  top.append(
    el("div", { class: "bar" }, el("b", { class: report.ok ? "good" : "bad" }, report.verdict), el("span", { class: "dim" }, `examined in ${report.seconds}`), all),
    el("div", {}, `host: ${report.host}${marks}${report.note ? `; ${report.note}` : ""}`),
  );
  if (report.start_with) top.append(el("div", {}, "start this container with:"), doctorCommand(report.start_with, "this container"));
  top.append(...groups);
}
export default { render };

/** Tabs: tabs("Label", [{name, panel, shown}]) with the arrow keys of the WAI-ARIA pattern; shown() is called once. */
function tabs(label, entries) {
  const prefix = `tb-${Math.random().toString(36).slice(2)}`;
  const bar = el("div", { role: "tablist", "aria-label": label, class: "tabbar" });
  const buttons = entries.map((entry, number) => {
    const button = el("button", {
      role: "tab",
      type: "button",
      "aria-controls": `${prefix}-p${number}`,
      onclick: () => choose(number),
    }, entry.name);
    button.setAttribute("id", `${prefix}-t${number}`);
    entry.panel.setAttribute("id", `${prefix}-p${number}`);
    entry.panel.setAttribute("role", "tabpanel");
    entry.panel.setAttribute("aria-labelledby", `${prefix}-t${number}`);
    bar.append(button);
    return button;
  });
  const seen = new Set();
  function choose(chosen, focus = false) {
    buttons.forEach((button, number) => {
      button.setAttribute("aria-selected", String(number === chosen));
      button.tabIndex = number === chosen ? 0 : -1;
      entries[number].panel.hidden = number !== chosen;
    });
    if (focus) buttons[chosen].focus();
    if (!seen.has(chosen)) {
      seen.add(chosen);
      entries[chosen].shown?.();
    }
  }
  bar.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(event.target);
    const to = {
      ArrowRight: (at + 1) % buttons.length,
      ArrowLeft: (at + buttons.length - 1) % buttons.length,
      Home: 0,
      End: buttons.length - 1,
    }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    choose(to, true);
  });
  choose(0);
  return [bar, ...entries.map((entry) => entry.panel)];
}

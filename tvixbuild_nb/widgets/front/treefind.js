// The filter of a tree: entries by name, or those that hold a needle, as the kernel finds them.
const MAX_FOUND = 2000;
const MAX_LOOKED = 300_000;

/** deps: call, failed, display (show these lines), all (the lines without a filter), needles (whether there are any). */
function treeFind(state, deps) {
  const status = el("span", { role: "status", class: "dim" });
  const more = el("button", { type: "button", hidden: true, onclick: () => search(true) }, "Look further");
  const input = el("input", { type: "search", "aria-label": "Filter by name", placeholder: "filter by name, * and ? too", size: 26 });
  const holding = el("input", { type: "checkbox" });
  const parts = [input, deps.needles ? el("label", {}, holding, " what holds a needle") : null, more, status];
  let seeking = 0;
  let hits = null;
  let limit = 0;

  const add = (found) => {
    for (const row of found) {
      const number = Math.floor(hits.count / PAGE);
      if (!hits.pages.has(number)) hits.pages.set(number, []);
      hits.pages.get(number).push(row);
      hits.count += 1;
    }
    widen(hits, found.length);
  };

  const told = (found, stopped) => {
    const count = (number) => number.toLocaleString("en");
    const rest = found.done ? "" : stopped ? ", there are more" : "…";
    const unread = found.unread ? `, ${count(found.unread)} could not be read` : "";
    status.textContent = `${count(hits.count)} found, ${count(found.looked)} looked at${unread}${rest}`;
  };

  async function search(goOn) {
    const mine = ++seeking;
    const [text, needles] = [input.value.trim(), holding.checked];
    more.hidden = true;
    if (!text && !needles) {
      status.textContent = "";
      if (hits) deps.display(deps.all());
      hits = null;
      return;
    }
    if (!goOn) {
      hits = folderOf(null, 0, [], { count: 0, start: 0, rows: [] });
      hits.loose = true;
      limit = MAX_LOOKED;
      state.line = 0;
      deps.display(hits);
    } else limit += MAX_LOOKED;
    const from = hits.count;
    try {
      for (let again = goOn; ; again = true) {
        const found = await deps.call("find", { text, go_on: again, needles });
        if (mine !== seeking) return;
        add(found.rows);
        const stopped = hits.count - from >= MAX_FOUND || found.looked > limit;
        told(found, stopped);
        deps.display(hits);
        if (found.done) return;
        if (stopped) break;
      }
      more.hidden = false;
    } catch (error) {
      if (mine === seeking) deps.failed(error);
    }
  }

  let typing = null;
  input.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => search(false), 200);
  });
  holding.addEventListener("change", () => search(false));
  return {
    parts,
    /** Whether what is shown is what was found. */
    active: () => hits !== null,
    again: () => search(false),
    stop: () => ++seeking,
  };
}

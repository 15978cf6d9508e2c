// A preview: the tree of config.json, what is to be said about the chosen part, search, a comparison; it follows its
// sandbox.

function render({ model, el: host }) {
  const kernel = link(model);
  const top = root(host, "preview", "Preview of config.json");
  const view = `v${Math.random()}`;
  let unfolded = null;
  let hits = [];
  let others = false;
  let at = -1;
  let shownVersion = -1;
  let gone = false;

  const badge = el("span", { class: "badge" });
  const find = el("input", { type: "search", placeholder: "search", "aria-label": "search the configuration", size: 14 });
  const count = el("span", { class: "dim", role: "status" });
  const button = (text, act, props = {}) => el("button", { type: "button", onclick: act, ...props }, text);
  const before = button("↑", () => goTo(at - 1), { "aria-label": "previous match" });
  const after = button("↓", () => goTo(at + 1), { "aria-label": "next match" });
  const against = el("select", { "aria-label": "compare with" }, el("option", { value: "" }, "compare with …"));
  const news = el("div", { class: "news", role: "status" });
  const detail = el("div", { class: "detail", role: "group", "aria-label": "the chosen part" });
  const diff = el("div", { class: "diff" });
  const trouble = el("div");

  const failed = (error) => gone || trouble.replaceChildren(problem(error));
  const sure = (act) => async (...args) => {
    try {
      trouble.replaceChildren();
      await act(...args);
    } catch (error) {
      failed(error);
    }
  };

  const refresh = async (reveal) => {
    const answer = await kernel.call("rows", { unfolded, reveal });
    if (answer.version < shownVersion) return;
    shownVersion = answer.version;
    unfolded = answer.unfolded;
    tree.show(answer.rows, hits);
    rest.textContent = answer.more ? `${answer.more} more rows are not shown: fold something` : "";
  };
  let latest = 0;
  const explain = sure(async (row) => {
    const asked = ++latest;
    const found = await kernel.call("detail", { path: row.path, removed: row.removed });
    if (asked !== latest) return;
    const copy = row.removed === undefined ? sure(() => copyPart(row.path)) : null;
    detail.replaceChildren(...(found ? detailPanel(found, copy, copied) : []));
  });
  const copied = async (text) => {
    await copyText(text);
    done.textContent = `copied ${text.length} characters`;
  };
  const copyPart = async (path) => copied(await kernel.call("copy", { path }));
  const tree = configTree({
    toggle: sure((path) => {
      const listed = new Set(unfolded.listed);
      if (!listed.delete(path)) listed.add(path);
      unfolded = { ...unfolded, listed: [...listed] };
      return refresh();
    }),
    turn: sure(async (path, page) => {
      unfolded = { ...unfolded, pages: { ...unfolded.pages, [path]: page } };
      await refresh();
      tree.select(path, true);
    }),
    chosen: (row) => row && explain(row),
  });
  const go = sure(async (path) => {
    await refresh(path);
    tree.select(path, false);
  });

  const goTo = (index) => {
    if (!hits.length) return;
    at = (index + hits.length) % hits.length;
    count.textContent = `${at + 1} of ${hits.length}${others ? " and more" : ""}`;
    go(hits[at]);
  };
  let asked = 0;
  const search = sure(async () => {
    const mine = ++asked;
    const answer = await kernel.call("search", { text: find.value });
    if (mine !== asked) return;
    hits = answer.found;
    others = answer.more;
    at = -1;
    if (hits.length) return goTo(0);
    count.textContent = find.value.trim() ? "nothing" : "";
    await refresh();
  });
  let soon;
  find.addEventListener("input", () => {
    clearTimeout(soon);
    soon = setTimeout(search, 150);
  });
  find.addEventListener("keydown", (event) => event.key === "Enter" && goTo(at + (event.shiftKey ? -1 : 1)));

  const compare = sure(async () => {
    if (!against.value) return diff.replaceChildren();
    diff.replaceChildren(...diffTable(await kernel.call("compare", { other: against.value }), go));
  });
  const fillChoices = sure(async () => {
    const offered = await kernel.call("choices");
    const chosen = against.value;
    const items = offered.map(([key, name]) => el("option", { value: key }, name));
    against.replaceChildren(el("option", { value: "" }, "compare with …"), ...items);
    against.value = offered.some(([key]) => key === chosen) ? chosen : "";
  });
  against.addEventListener("focus", fillChoices);
  against.addEventListener("change", compare);

  const tell = (state) => {
    badge.textContent = state.validity.ok ? "✓ valid" : "✗ not valid";
    badge.className = `badge ${state.validity.ok ? "good" : "bad"}`;
    badge.title = state.validity.text;
    badge.setAttribute("aria-label", state.validity.text);
    const deviations = state.explained ? `${state.deviations.length || "no"} deviations from Tvix` : "";
    about.textContent = [state.validity.text, deviations].filter(Boolean).join(" · ");
    against.hidden = !state.explained;
    if (state.problem) news.replaceChildren(el("span", { class: "bad" }, `cannot be rendered now: ${state.problem}`));
    else if (state.changed.length) {
      const clear = button("Clear marks", sure(async () => (tell(await kernel.call("seen")), refresh())));
      news.replaceChildren(el("span", { class: "good" }, `changed: ${state.changed.join(", ")} `), clear);
    } else news.replaceChildren();
  };
  const about = el("div", { class: "dim about" });
  const rest = el("div", { class: "dim", role: "status" });
  const done = el("span", { class: "dim", role: "status" });

  const unfold = button("Unfold all", sure(() => ((unfolded = { listed: [], inverted: true, pages: {} }), refresh())));
  const fold = button("Fold all", sure(() => ((unfolded = { listed: [""], inverted: false, pages: {} }), refresh())));
  const copyAll = button("Copy JSON", sure(() => copyPart("")));
  top.append(
    el("div", { class: "bar" }, badge, find, before, after, count, unfold, fold, copyAll, against, done),
    about, news, trouble,
    el("div", { class: "halves" }, el("div", {}, tree.node, rest), detail),
    diff,
  );

  const hear = sure(async (state) => {
    if (state.version < shownVersion) return;
    tell(state);
    await refresh();
    await explain(tree.selected());
    if (against.value) await compare();
  });
  kernel.on("changed", hear);
  kernel.on("roll call", sure(async (asker) => {
    if (asker === view) return;
    const state = await kernel.call("present", { view });
    if (state.version > shownVersion) await hear(state);
  }));
  const leave = () => kernel.call("vanish", { view }).catch(() => {});
  // A page that is left or loaded anew takes nothing down.
  window.addEventListener("pagehide", leave);
  sure(async () => {
    tell(await kernel.call("appear", { view }));
    await refresh();
    await fillChoices();
    tree.select("", false);
  })();
  return () => {
    gone = true;
    window.removeEventListener("pagehide", leave);
    leave();
    kernel.close();
  };
}
export default { render };

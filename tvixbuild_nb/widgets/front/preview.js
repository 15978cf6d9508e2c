// A preview: the tree of config.json, what is to be said about the chosen part, search, a comparison; it follows its
// sandbox.

function render({ model, el: host }) {
  const kernel = link(model);
  const top = root(host, "preview", "Preview of config.json");
  const view = `v${Math.random()}`;
  let opened = null;
  let hits = [];
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

  const refresh = async () => {
    const answer = await kernel.call("rows", { opened });
    if (answer.version < shownVersion) return;
    shownVersion = answer.version;
    opened = answer.opened;
    tree.show(answer.rows, hits);
  };
  let latest = 0;
  const explain = sure(async (path) => {
    const asked = ++latest;
    const found = await kernel.call("detail", { path });
    if (asked !== latest) return;
    detail.replaceChildren(...(found ? detailPanel(found, sure(() => copyPart(path))).flat() : []));
  });
  const copyPart = async (path) => copyText(await kernel.call("copy", { path }));
  const tree = configTree({
    open: sure((path) => ((opened = [...opened, path]), refresh())),
    fold: sure((path) => ((opened = opened.filter((each) => each !== path)), refresh())),
    chosen: explain,
  });
  const go = sure(async (path) => {
    opened = [...new Set([...opened, ...ancestorsOf(path)])];
    await refresh();
    tree.select(path, false);
  });

  const goTo = (index) => {
    if (!hits.length) return;
    at = (index + hits.length) % hits.length;
    count.textContent = `${at + 1} of ${hits.length}`;
    go(hits[at]);
  };
  let asked = 0;
  const search = sure(async () => {
    const mine = ++asked;
    const answer = await kernel.call("search", { text: find.value });
    if (mine !== asked) return;
    hits = answer.found;
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
    const chosen = against.value;
    const offered = await kernel.call("choices");
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

  const unfold = button("Unfold all", sure(async () => ((opened = await kernel.call("unfold_all")), refresh())));
  const fold = button("Fold all", sure(() => ((opened = [""]), refresh())));
  const copyAll = button("Copy JSON", sure(() => copyPart("")));
  top.append(
    el("div", { class: "bar" }, badge, find, before, after, count, unfold, fold, copyAll, against),
    about, news, trouble,
    el("div", { class: "halves" }, tree.node, detail),
    diff,
  );

  kernel.on("changed", sure(async (state) => {
    if (state.version < shownVersion) return;
    tell(state);
    await refresh();
    await explain(tree.selected());
    if (against.value) await compare();
  }));
  sure(async () => {
    tell(await kernel.call("appear", { view }));
    await refresh();
    await fillChoices();
    tree.select("", false);
  })();
  return () => {
    gone = true;
    kernel.call("vanish", { view }).catch(() => {});
    kernel.close();
  };
}
export default { render };

/** The buttons above a log, and the line below it. */
function logBar(link, { view, onfollow, onwrap, ontimes, onfoldall, onfound, copied, where }) {
  const press = (text, title, act) => {
    const button = el("button", { "aria-pressed": "false", title }, text);
    button.addEventListener("click", () => act(button.getAttribute("aria-pressed") !== "true"));
    return button;
  };
  const follow = press("Follow", "stay at the end (f)", onfollow);
  const wrap = press("Wrap", "long lines go on below (w)", onwrap);
  const times = el("select", { "aria-label": "time stamps", onchange: () => ontimes(times.value) },
    el("option", { value: "off" }, "no times"), el("option", { value: "relative" }, "since the start"), el("option", { value: "absolute" }, "time of day"));
  const fold = el("button", { title: "fold phases and repetitions", onclick: () => onfoldall(true) }, "Fold all");
  const unfold = el("button", { title: "show every line", onclick: () => onfoldall(false) }, "Unfold all");
  const copy = el("button", { title: "the selection, else the lines in sight", onclick: copyIt }, "Copy");
  const save = el("button", { title: "all of it, as a file", onclick: saveIt }, "Save");
  const count = el("span", { class: "log-count dim" });
  const said = el("span", { class: "log-said", role: "status", "aria-live": "polite" });
  const find = logFind(link, { onfound, onsay: say, where });
  let shown = null;
  let timer = 0;

  function say(text) {
    said.textContent = text;
  }
  async function copyIt() {
    const text = copied();
    await copyText(text);
    say(`copied ${text.split("\n").length} lines`);
  }
  async function saveIt() {
    const parts = [];
    let size = 0;
    save.disabled = true;
    try {
      for (let at = 0; at !== null; ) {
        const { value, buffers } = await link.ask("log_raw", { at });
        at = value.next;
        parts.push(buffers[0]);
        size += buffers[0].byteLength;
        save.textContent = `Saving, ${humanBytes(size)}`;
      }
      const address = URL.createObjectURL(new Blob(parts, { type: "application/octet-stream" }));
      el("a", { href: address, download: "build.log" }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60000);
      say(`saved ${humanBytes(size)}`);
    } catch (error) {
      say(error.message);
    }
    save.disabled = false;
    save.textContent = "Save";
  }

  return {
    element: el("div", { class: "bar log-bar" }, follow, wrap, times, fold, unfold, copy, save, el("span", { class: "log-find" }, find.nodes)),
    foot: el("div", { class: "log-foot" }, count, said),
    find,
    say,
    toggleWrap: () => wrap.click(),
    /** More has come; count the matches on, but not at every push. */
    grown(atOnce) {
      if (timer && !atOnce) return;
      clearTimeout(timer);
      timer = setTimeout(() => {
        timer = 0;
        find.count();
      }, atOnce ? 0 : 1000);
    },
    show(state) {
      const passed = state.passed ? `; ${state.passed.toLocaleString("en")} lines went by too quickly to be shown, scroll up to them` : "";
      const text = `${state.total.toLocaleString("en")} lines, ${humanBytes(state.size)}${state.running ? ", running" : ""}${passed}`;
      if (text !== shown) count.textContent = shown = text;
      follow.setAttribute("aria-pressed", `${state.follow}`);
      wrap.setAttribute("aria-pressed", `${state.wrap}`);
      fold.hidden = unfold.hidden = !state.folds;
      times.value = view.times;
    },
    close: () => clearTimeout(timer),
  };
}

/** Keys in a log: arrows and pages move, / searches, n and N go on, f follows, w wraps; Escape leads back from the search. */
function logKeys(scroller, bar, move) {
  const keys = {
    ArrowUp: move.up,
    ArrowDown: move.down,
    PageUp: move.pageUp,
    PageDown: move.pageDown,
    Home: move.home,
    End: move.end,
    "/": () => bar.find.field.focus(),
    n: () => bar.find.find(false),
    N: () => bar.find.find(true),
    f: move.follow,
    w: bar.toggleWrap,
  };
  scroller.addEventListener("keydown", (event) => {
    if (event.target !== scroller || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  bar.find.field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault(); // it would empty the field
    scroller.focus();
  });
}

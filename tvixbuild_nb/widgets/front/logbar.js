/** The buttons above a log, and the line below it. */
function logBar(link, { view, onfollow, onwrap, ontimes, onfoldall, onfound, copied, chosen, where }) {
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
  const copy = el("button", { title: "the chosen lines or the selected text, else the lines in sight", onclick: copyIt }, "Copy");
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
    try {
      const what = chosen.any ? chosen.words : null;
      const text = what ? await logChosenText(link, chosen) : copied();
      await copyText(text);
      say(`copied ${what ?? logLines(text.split("\n").length)}`);
    } catch (error) {
      say(error.message);
    }
  }
  async function saveIt() {
    const parts = [];
    let size = 0;
    let hidden = 0;
    let secrets = false;
    save.disabled = true;
    try {
      for (let at = 0; at !== null; ) {
        const { value, buffers } = await link.ask("log_raw", { at });
        at = value.next;
        secrets = value.secrets;
        hidden += value.hidden;
        parts.push(buffers[0]);
        size += buffers[0].byteLength;
        save.textContent = `Saving, ${humanBytes(size)}`;
      }
      const address = URL.createObjectURL(new Blob(parts, { type: "application/octet-stream" }));
      el("a", { href: address, download: "build.log" }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60000);
      const left = hidden ? `; values of secrets are left out of ${logLines(hidden)}` : "; no values of secrets were in it";
      say(`saved ${humanBytes(size)}${secrets ? left : ""}`);
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
    copy: copyIt,
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
      const passed = state.passed ? `; ${logLines(state.passed)} went by too quickly to be shown, scroll up to them` : "";
      const missed = state.folds_missed ? `; ${state.folds_missed.toLocaleString("en")} more folds not kept` : "";
      const text = `${logLines(state.total)}, ${humanBytes(state.size)}${state.running ? ", running" : ""}${passed}${missed}`;
      if (text !== shown) count.textContent = shown = text;
      follow.setAttribute("aria-pressed", `${state.follow}`);
      const label = chosen.any ? `Copy ${chosen.words}` : "Copy";
      if (copy.textContent !== label) copy.textContent = label;
      wrap.setAttribute("aria-pressed", `${state.wrap}`);
      fold.hidden = unfold.hidden = !state.folds;
      times.value = view.times;
    },
    close() {
      clearTimeout(timer);
      find.close();
    },
  };
}

/**
 * Keys in a log: arrows and pages move, with shift they choose lines, control and A chooses all, Escape none; / searches,
 * n and N go on, f follows, w wraps; Escape leads back from the search.
 */
function logKeys(scroller, bar, move) {
  const keys = {
    ArrowUp: move.up,
    ArrowDown: move.down,
    PageUp: move.pageUp,
    PageDown: move.pageDown,
    Home: move.home,
    End: move.end,
    "Shift+ArrowUp": () => move.choose(-1),
    "Shift+ArrowDown": () => move.choose(1),
    "Shift+PageUp": () => move.choose(-move.page()),
    "Shift+PageDown": () => move.choose(move.page()),
    "Shift+Home": () => move.choose(-Infinity),
    "Shift+End": () => move.choose(Infinity),
    "Control+a": move.chooseAll,
    Escape: move.chooseNone,
    "/": () => bar.find.field.focus(),
    n: () => bar.find.find(false),
    N: () => bar.find.find(true),
    f: move.follow,
    w: bar.toggleWrap,
  };
  scroller.addEventListener("keydown", (event) => {
    if (event.target !== scroller || event.altKey) return;
    const control = event.ctrlKey || event.metaKey ? "Control+" : "";
    const act = keys[`${control}${event.shiftKey && event.key.length > 1 ? "Shift+" : ""}${event.key}`];
    if (!act) return;
    event.preventDefault();
    act();
  });
  bar.find.field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault(); // it would empty the field
    scroller.focus();
  });
}

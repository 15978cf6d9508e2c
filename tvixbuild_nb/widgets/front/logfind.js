const LOG_TYPED = 300; // milliseconds without a key before what was typed is searched for

/**
 * The search field of a log, which searches as one types; Enter and the arrows go on: onfound({number, ranges}), onsay(text), where() -> line to begin at.
 */
function logFind(link, { onfound, onsay, where }) {
  const field = el("input", { type: "search", class: "log-field mono", placeholder: "search (regexp)", title: "Enter: the next match, with shift the one before", "aria-label": "search the log, a regular expression" });
  const caseless = el("button", { "aria-pressed": "true", title: "ignore upper and lower case", "aria-label": "ignore case" }, "Aa");
  const previous = el("button", { title: "previous (N)", "aria-label": "previous match" }, "↑");
  const next = el("button", { title: "next (n)", "aria-label": "next match" }, "↓");
  const label = el("span", { class: "log-matches dim" });
  let asked = 0;
  let counted = null; // {pattern, ignore_case, count, next}
  let hit = null;
  let origin = null; // where one was when the typing began: each letter searches from there
  let timer = 0;
  const query = () => ({ pattern: field.value, ignore_case: caseless.getAttribute("aria-pressed") === "true" });
  const failed = (error) => {
    label.className = "log-matches bad";
    label.textContent = error.message;
    onsay(error.hint ? `${error.message} (${error.hint})` : error.message);
  };
  const tell = (more) => {
    label.className = "log-matches dim";
    if (!counted) label.textContent = "";
    else if (counted.count) label.textContent = more ? `${counted.count.toLocaleString("en")}+ lines match` : `${logLines(counted.count)} ${counted.count === 1 ? "matches" : "match"}`;
    else label.textContent = more ? "searching" : hit === null ? "no match" : "";
  };

  /** Count on, from where the last count ended. */
  async function count() {
    if (!counted || counted.busy) return;
    const mine = counted;
    mine.busy = true;
    try {
      for (let settled = Infinity; mine === counted && mine.next <= settled; ) {
        const answer = await link.call("log_count", { pattern: mine.pattern, ignore_case: mine.ignore_case, start: mine.next });
        mine.count += answer.count;
        mine.next = answer.next;
        settled = answer.settled;
        if (mine === counted) tell(mine.next <= settled);
      }
    } catch (error) {
      if (mine === counted) failed(error);
      counted = mine === counted ? null : counted;
    }
    mine.busy = false;
  }

  async function find(backwards) {
    const { pattern, ignore_case } = query();
    const mine = ++asked;
    clearTimeout(timer);
    if (!pattern) return clear();
    if (counted?.pattern !== pattern || counted?.ignore_case !== ignore_case) {
      counted = { pattern, ignore_case, count: 0, next: 1, busy: false };
      hit = null;
      tell(true);
    }
    try {
      const begin = hit === null ? (origin ?? where()) : hit + (backwards ? -1 : 1);
      let found = await walk(begin, backwards, mine);
      let again = "";
      if (found && found.number === null) {
        found = await walk(backwards ? Number.MAX_SAFE_INTEGER : 1, backwards, mine);
        again = backwards ? ", from the end" : ", from the beginning";
      }
      if (mine !== asked || !found) return;
      hit = found.number;
      onfound(found.number === null ? null : found);
      onsay(found.number === null ? "no match" : `found in line ${found.number}${again}`);
      count();
    } catch (error) {
      if (mine === asked) failed(error);
    }
  }

  async function walk(start, backwards, mine) {
    if (start < 1) return { number: null };
    for (;;) {
      const answer = await link.call("log_search", { ...query(), start, backwards });
      if (mine !== asked) return null;
      if (answer.done) return answer;
      start = answer.next;
      label.textContent = `searching, at line ${start.toLocaleString("en")}`;
    }
  }

  function clear() {
    asked += 1;
    clearTimeout(timer);
    counted = hit = origin = null;
    tell(false);
    onfound(null);
  }

  caseless.addEventListener("click", () => {
    caseless.setAttribute("aria-pressed", `${caseless.getAttribute("aria-pressed") !== "true"}`);
    find(false);
  });
  previous.addEventListener("click", () => find(true));
  next.addEventListener("click", () => find(false));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") find(event.shiftKey);
  });
  field.addEventListener("focus", () => {
    origin = null;
  });
  field.addEventListener("input", () => {
    clearTimeout(timer);
    if (!field.value) return clear();
    origin ??= where();
    timer = setTimeout(() => find(false), LOG_TYPED);
  });
  return { nodes: [field, caseless, previous, next, label], field, find, count, close: () => clearTimeout(timer) };
}

const LOG_COPY_MOST = 20e6; // characters: a clipboard is no place for a log of a gigabyte

/** The lines of a log that are chosen, by number: they need not be in sight. */
class LogChosen {
  constructor() {
    this.clear();
  }

  clear() {
    this.anchor = this.head = null;
  }

  get any() {
    return this.anchor !== null;
  }

  get first() {
    return Math.min(this.anchor, this.head);
  }

  get last() {
    return Math.max(this.anchor, this.head);
  }

  has(number) {
    return this.any && this.first <= number && number <= this.last;
  }

  begin(number) {
    this.anchor = this.head = number;
  }

  extend(number) {
    this.anchor ??= number;
    this.head = number;
  }

  get words() {
    return this.first === this.last ? `line ${this.first.toLocaleString("en")}` : `lines ${this.first.toLocaleString("en")} to ${this.last.toLocaleString("en")}`;
  }
}

/** The text of lines, from the kernel, piece by piece. */
async function logChosenText(link, { first, last }) {
  const parts = [];
  let size = 0;
  for (let at = first; at !== null; ) {
    const answer = await link.call("log_text", { first: at, last });
    parts.push(answer.text);
    size += answer.text.length;
    if (size > LOG_COPY_MOST) throw new Error(`too much to copy at once, more than ${humanBytes(LOG_COPY_MOST)}: choose fewer lines, or save`);
    at = answer.next;
  }
  return parts.join("");
}

/** Choosing with the mouse: a click on a line's number begins, with shift it goes on; so does dragging once text left the page. */
function logChoosing(rows, chosen, changed) {
  const lineOf = (node) => {
    const row = (node?.nodeType === Node.ELEMENT_NODE ? node : node?.parentElement)?.closest(".log-row");
    return row && rows.contains(row) ? Number(row.querySelector(".log-n").textContent) : null;
  };
  rows.addEventListener("mousedown", (event) => {
    if (event.shiftKey && chosen.any) event.preventDefault(); // else the browser selects text besides
  });
  rows.addEventListener("click", (event) => {
    const number = lineOf(event.target);
    if (number === null || event.target.closest("button")) return;
    if (event.shiftKey && chosen.any) chosen.extend(number);
    else if (event.target.closest(".log-n")) chosen.begin(number);
    else return;
    changed();
  });
  rows.addEventListener("mousemove", (event) => {
    const number = lineOf(event.target);
    if (!(event.buttons & 1) || !chosen.any || number === null || number === chosen.head || !document.getSelection().isCollapsed) return;
    chosen.extend(number);
    changed();
  });
  return {
    /** Text selected in rows of which some are about to go: from now on whole lines are chosen. */
    keep(stays) {
      const selection = document.getSelection();
      if (!selection || selection.isCollapsed || !rows.contains(selection.anchorNode)) return;
      const from = lineOf(selection.anchorNode);
      const to = lineOf(selection.focusNode) ?? chosen.head ?? from;
      if (from === null || (stays(from) && stays(to))) return;
      chosen.begin(from);
      chosen.extend(to);
      selection.removeAllRanges();
      changed();
    },
  };
}

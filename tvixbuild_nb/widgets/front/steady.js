// A notebook that replaces a display by its next form draws the same widget anew, and forgets the page it had. That page
// goes on instead, as it is: where it was scrolled to, what was searched, folded and chosen in it.
const STEADY = new Map();
const STEADY_FOCUS = 300; // milliseconds within which a page that lost the focus lost it by being replaced

/** Whether the display of this page was taken away for good; one of a cell that was scrolled out of sight comes back. */
function steadyOrphan({ node }) {
  return !node.isConnected && !node.closest(".jp-OutputArea-child");
}

/**
 * A page in `host`: an earlier one with this key whose display is gone, else a new one by `make(host)`, which returns
 * {node, close}. Returns what ends the page, unless it has moved on by then.
 */
function steady(key, host, make) {
  const pages = STEADY.get(key) ?? new Set();
  STEADY.set(key, pages);
  let page = [...pages].find(steadyOrphan);
  if (page) {
    const focused = performance.now() - page.left < STEADY_FOCUS ? page.focused : null;
    host.append(page.node);
    if (focused) requestAnimationFrame(() => focused.focus({ preventScroll: true }));
  } else {
    page = { ...make(host), focused: null, left: Infinity };
    page.node.addEventListener("focusin", (event) => Object.assign(page, { focused: event.target, left: Infinity }));
    page.node.addEventListener("focusout", () => (page.left = performance.now()));
    pages.add(page);
  }
  const stay = (page.stay = {});
  return () => {
    if (page.stay !== stay) return;
    pages.delete(page);
    page.close();
  };
}

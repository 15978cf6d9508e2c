/** Keys of the WAI-ARIA tree pattern. at(): the row that has the focus, {index, open} (open: true, false, null where
 * nothing folds) or undefined; go(index) moves it, last() is the last index, act(index) folds, unfolds or does what the
 * row is for; out(index) goes to the row around. */
function foldKeys(node, { at, go, last, act, out }) {
  node.addEventListener("keydown", (event) => {
    const row = at();
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const { index, open } = row;
    const keys = {
      ArrowDown: () => go(index + 1),
      ArrowUp: () => go(index - 1),
      Home: () => go(0),
      End: () => go(last()),
      ArrowRight: () => (open === false ? act(index) : open && go(index + 1)),
      ArrowLeft: () => (open ? act(index) : out(index)),
      Enter: () => act(index),
      " ": () => act(index),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
}

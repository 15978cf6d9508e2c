// The keyboard of a tree grid, as the ARIA Authoring Practices have it for rows: arrows, pages, ends, letters.

/** Hear the keys of a grid: {grid, current, moveTo, toggle, page}; deps as those of the grid. */
function treeKeys(state, grid, deps) {
  let typed = "";
  let typedAt = 0;
  async function typeAhead(key) {
    const now = performance.now();
    typed = now - typedAt > 900 ? key : typed + key;
    typedAt = now;
    let { folder, index } = grid.current();
    const wanted = typed;
    // The same letter again and again goes from one to the next.
    const same = [...typed].every((letter) => letter === typed[0]);
    const after = same || typed.length === 1 ? index : index - 1;
    let found = null;
    if (folder.loose) {
      const rows = folder.pages.size ? [...folder.pages.values()].flat() : [];
      const fits = (row) => row.name.toLowerCase().startsWith(wanted.toLowerCase());
      found = rows.findIndex((row, i) => i > after && fits(row));
      if (found < 0) found = rows.findIndex(fits);
      if (found < 0) found = null;
    } else found = await deps.call("jump", { at: folder.at, prefix: same ? typed[0] : wanted, after, order: state.order });
    const inside = openAt(folder, index);
    if (found === null && inside) {
      // No sibling of that name: perhaps what is open below it.
      folder = inside;
      found = await deps.call("jump", { at: folder.at, prefix: wanted, after: -1, order: state.order });
    }
    if (found !== null && wanted === typed) grid.moveTo(lineOf(folder, found));
  }

  const left = (folder, index, opened) => {
    if (opened) grid.toggle(folder, index, false);
    else if (folder.parent) grid.moveTo(lineOf(folder.parent, folder.index));
  };
  const right = (folder, index, opened) => {
    if (!opened) grid.toggle(folder, index, true);
    else if (opened.count) grid.moveTo(state.line + 1);
  };
  grid.grid.addEventListener("keydown", (event) => {
    const ends = event.key === "Home" || event.key === "End";
    if (event.metaKey || event.altKey || (event.ctrlKey && !ends) || !state.top.total || event.target !== grid.grid) return;
    const { folder, index } = grid.current();
    const row = rowAt(folder, index);
    const opened = openAt(folder, index);
    const keys = {
      ArrowDown: () => grid.moveTo(state.line + 1),
      ArrowUp: () => grid.moveTo(state.line - 1),
      PageDown: () => grid.moveTo(state.line + grid.page()),
      PageUp: () => grid.moveTo(state.line - grid.page()),
      Home: () => grid.moveTo(0),
      End: () => grid.moveTo(state.top.total - 1),
      ArrowRight: () => right(folder, index, opened),
      ArrowLeft: () => left(folder, index, opened),
      Enter: () => (isFolder(row) && !event.shiftKey ? grid.toggle(folder, index) : deps.act(folder, index)),
      " ": () => deps.act(folder, index),
      Escape: () => deps.close(),
    };
    if (event.key !== " " && event.key.length === 1) typeAhead(event.key).catch(deps.failed);
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  });
}

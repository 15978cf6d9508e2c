// The order of the lines: what is open stays open, and the line with the focus keeps it.
const MAX_OPEN = 50;
const SUMMING = 3000; // milliseconds to wait for the bytes below directories

/** Put the tree in another order; the new top folder and the line of the focus. deps: call, current. */
async function sorted(state, order, deps) {
  const open = openBelow(state.top).filter((folder) => folder.at.length).slice(0, MAX_OPEN);
  if (order.endsWith("size")) {
    const until = performance.now() + SUMMING;
    while ((await deps.call("sum_for_order", { at: open.map((folder) => folder.at) })) && performance.now() < until);
  }
  const { folder, index } = deps.current();
  const focus = placeOf(folder, index);
  const top = folderOf(null, 0, [], await deps.call("page", { at: [], start: 0, order }));
  const ranks = await deps.call("ranks", { at: [...open.map((folder) => folder.at), focus], order });
  const made = new Map([["", top]]);
  for (const [number, { at }] of open.entries()) {
    const around = made.get(String(at.slice(0, -1)));
    if (!around) continue;
    expand(around, ranks[number], await deps.call("page", { at, start: 0, order }), at);
    made.set(String(at), openAt(around, ranks[number]));
  }
  const around = made.get(String(focus.slice(0, -1)));
  return { top, line: around ? lineOf(around, ranks.at(-1)) : 0 };
}

// Rows that stay the same elements while a list changes around them.

/**
 * Put the nodes of `entries` into `body` in order: those of `known` (number -> {node, ...}) that `fits` stay the same,
 * others are made. `known` has them in that order afterwards; they stand behind the node `first`, if there is one.
 */
function arrange(body, known, entries, make, { fits = () => true, first = null } = {}) {
  const before = new Map(known);
  known.clear();
  for (const entry of entries) {
    const old = before.get(entry.number);
    known.set(entry.number, old && fits(old, entry) ? old : make(entry));
  }
  for (const [number, old] of before) if (known.get(number) !== old) old.node.remove();
  let last = first;
  for (const { node } of known.values()) {
    // Moved only where it must be: an element that moves loses the cursor.
    const next = last ? last.nextSibling : body.firstChild;
    if (next !== node) body.insertBefore(node, next);
    last = node;
  }
}

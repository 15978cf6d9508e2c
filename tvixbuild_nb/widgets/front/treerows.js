// The rows of a tree that is open in places: which entry stands in line n, and pages of entries as they arrive.
const PAGE = 50; // as the kernel has it
const MAX_PAGES = 1000;

/** A folder that is open: count entries, of which some pages are here and some are open folders themselves. */
function folderOf(parent, index, at, data) {
  const folder = { parent, index, at, level: parent ? parent.level + 1 : 0, count: 0, total: 0, pages: new Map(), open: [] };
  fill(folder, data);
  return folder;
}

function fill(folder, data) {
  const grown = data.count - folder.count;
  folder.count = data.count;
  widen(folder, grown);
  if (data.rows.length) folder.pages.set(Math.floor(data.start / PAGE), data.rows);
}

/** So many more lines in this folder, and hence in those around it. */
function widen(folder, lines) {
  for (let around = folder; around; around = around.parent) around.total += lines;
}

function rowAt(folder, index) {
  return folder.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
}

/** Whether a row has entries of its own to show. */
function isFolder(row) {
  return row?.kind === "directory" || !!row?.folder;
}

function openAt(folder, index) {
  return folder.open.find((child) => child.index === index);
}

/** Where an entry is, for the kernel; what was found by a search says so itself, and so does what is sorted. */
function placeOf(folder, index) {
  const row = rowAt(folder, index);
  return row?.at ?? [...folder.at, row?.n ?? index];
}

/** The entry in line n below a folder: {folder, index}. */
function locate(folder, line) {
  for (;;) {
    let passed = 0;
    let inside = null;
    for (const child of folder.open) {
      const here = child.index + passed;
      if (line <= here) break;
      if (line <= here + child.total) {
        inside = child;
        line -= here + 1;
        break;
      }
      passed += child.total;
    }
    if (!inside) return { folder, index: line - passed };
    folder = inside;
  }
}

/** The line in which an entry stands. */
function lineOf(folder, index) {
  let line = index;
  for (const child of folder.open) if (child.index < index) line += child.total;
  return folder.parent ? lineOf(folder.parent, folder.index) + 1 + line : line;
}

function expand(folder, index, data, at = placeOf(folder, index)) {
  if (openAt(folder, index)) return;
  const child = folderOf(null, index, at, data);
  child.parent = folder;
  child.level = folder.level + 1;
  folder.open.push(child);
  folder.open.sort((a, b) => a.index - b.index);
  widen(folder, child.total);
}

/** Every open folder below one, parents first. */
function openBelow(folder) {
  return folder.open.flatMap((child) => [child, ...openBelow(child)]);
}

function collapse(folder, index) {
  const child = openAt(folder, index);
  if (!child) return;
  folder.open.splice(folder.open.indexOf(child), 1);
  widen(folder, -child.total);
}

/** Let go of pages far from the lines in sight, oldest first. */
function forget(folder, spared) {
  if (folder.loose) return; // what a search found is nowhere else
  for (const number of folder.pages.keys()) {
    if (folder.pages.size <= MAX_PAGES) return;
    if (!spared.has(number)) folder.pages.delete(number);
  }
}

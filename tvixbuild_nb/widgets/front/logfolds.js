/** Which lines of a log are folded away, and so: which line stands in which row. Lines count from 1, rows from 0. */
class LogFolds {
  constructor() {
    this.closed = [];
    this.open = [];
    this.chosen = new Map(); // fold -> whether it is folded, where somebody chose
    this.byFirst = new Map();
    this.hidden = []; // [from, to, hidden lines before], apart from each other and in order
    this.total = 0;
  }

  static key(fold) {
    return `${fold.kind}:${fold.first}`;
  }

  isFolded(fold) {
    return this.chosen.get(LogFolds.key(fold)) ?? fold.kind === "repeat";
  }

  get count() {
    return this.closed.length;
  }

  add(folds) {
    this.closed.push(...folds);
    this.sorted = null;
  }

  /** The log has `total` lines now, and these folds still grow. */
  update(total, open) {
    this.total = total;
    this.open = open;
    this.lay();
  }

  lay() {
    this.sorted ??= [...this.closed].sort((a, b) => a.first - b.first);
    const all = [...this.sorted, ...this.open].sort((a, b) => a.first - b.first);
    this.byFirst.clear();
    this.hidden = [];
    let before = 0;
    let last = null;
    for (const fold of all) {
      this.byFirst.set(fold.first, [...(this.byFirst.get(fold.first) ?? []), fold]);
      const to = Math.min(fold.last ?? this.total, this.total);
      if (!this.isFolded(fold) || to <= fold.first) continue;
      if (last && fold.first + 1 <= last[1] + 1) {
        before += Math.max(0, to - last[1]);
        last[1] = Math.max(last[1], to);
      } else {
        last = [fold.first + 1, to, before];
        this.hidden.push(last);
        before += to - fold.first;
      }
    }
    this.rows = this.total - before;
  }

  at(number) {
    return this.byFirst.get(number) ?? [];
  }

  toggle(fold) {
    this.chosen.set(LogFolds.key(fold), !this.isFolded(fold));
    this.lay();
  }

  all(folded) {
    for (const fold of [...this.closed, ...this.open]) this.chosen.set(LogFolds.key(fold), folded);
    this.lay();
  }

  /** Unfold whatever hides this line. */
  reveal(number) {
    for (const fold of [...this.closed, ...this.open])
      if (fold.first < number && number <= (fold.last ?? this.total) && this.isFolded(fold)) this.chosen.set(LogFolds.key(fold), false);
    this.lay();
  }

  numberAt(row) {
    const range = this.lastWhere(([from, , before]) => from - 1 - before <= row);
    return range ? row + 1 + range[2] + range[1] - range[0] + 1 : row + 1;
  }

  rowOf(number) {
    const range = this.lastWhere(([from]) => from <= number);
    if (!range) return number - 1;
    const [from, to, before] = range;
    return number <= to ? from - 2 - before : number - 1 - before - (to - from + 1);
  }

  lastWhere(holds) {
    let low = 0;
    let high = this.hidden.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (holds(this.hidden[middle])) low = middle + 1;
      else high = middle;
    }
    return low ? this.hidden[low - 1] : null;
  }
}

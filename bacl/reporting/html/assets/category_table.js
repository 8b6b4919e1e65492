// All categories. Thousands of rows are sorted and filtered as numbers; those in sight are elements.

const ROW = 32; // pixels, as in the style
const SPARE = 12; // rows above and below those in sight

class CategoryTable {
  constructor(table, view) {
    this.table = table;
    this.chosen = { measure: table.measures[0], differences: false, text: "", groups: new Set(table.groups.keys()) };
    this.order = { column: 2, ascends: false };
    this.status = make("p", { class: "note", role: "status" });
    this.head = make("tr");
    this.body = make("tbody");
    this.grid = make("table", { "aria-label": "Categories" }, make("thead", {}, this.head), this.body);
    this.frame = make("div", { class: "rows", tabindex: 0, role: "region", "aria-label": "Categories" }, this.grid);
    this.frame.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.frame);
    view.append(this.controls(), this.status, this.frame);
    this.prints = false;
    addEventListener("beforeprint", () => this.print(true));
    addEventListener("afterprint", () => this.print(false));
    this.setColumns();
  }

  controls() {
    const { table, chosen } = this;
    const box = make("input", { type: "search", placeholder: "Filter by name", "aria-label": "Filter categories by name" });
    box.addEventListener("input", () => { chosen.text = box.value.toLowerCase(); this.select(); });
    const groups = table.groups.map(({ name, shade }, value) => ({ value, text: name, style: `group ${shade}` }));
    const measure = choice("measure ", table.measures, (place) => { chosen.measure = table.measures[place]; this.setColumns(); });
    const differences = make("input", { type: "checkbox" });
    differences.addEventListener("change", () => { chosen.differences = differences.checked; this.setColumns(); });
    const label = make("label", {}, differences, `differences to ${table.heads[0]}`);
    return make("div", { class: "controls" }, box, ticks("", groups, chosen.groups, () => this.select()), measure,
      table.heads.length > 1 ? label : null);
  }

  /** Titles, and the values of each column by category. */
  setColumns() {
    const { table, chosen } = this;
    const first = table.values[table.heads[0]][chosen.measure];
    const heads = table.heads.map((head, place) => {
      const own = table.values[head][chosen.measure];
      const values = !chosen.differences || place === 0 ? own
        : own.map((value, row) => (value === null || first[row] === null ? null : value - first[row]));
      return { title: head, values, text: chosen.differences && place ? signed : percent };
    });
    const count = (title, values) => ({ title, values, text: (value) => value.toLocaleString("en") });
    this.columns = [
      { title: "category", values: table.names },
      { title: "group", values: table.group_of },
      count("training images", table.images),
      count("instances", table.instances),
      count("judged objects", table.objects),
      ...heads,
    ];
    this.setHead();
    this.select();
  }

  setHead() {
    const cells = this.columns.map(({ title }, place) => {
      const cell = make("th", { scope: "col", class: place < 2 ? "text" : "number", title }, title);
      if (place === this.order.column) cell.setAttribute("aria-sort", this.order.ascends ? "ascending" : "descending");
      return cell;
    });
    const widths = this.columns.map((_, place) => ([208, 112, 152, 112, 148][place] ?? 116));
    cells.forEach((cell, place) => { cell.style.width = `${widths[place]}px`; });
    this.grid.style.width = `${widths.reduce((sum, each) => sum + each)}px`;
    sortButtons(cells, (column, ascends) => { this.order = { column, ascends }; this.select(); });
    this.head.replaceChildren(...cells);
  }

  /** The rows that are shown, in their order. */
  select() {
    const { table, chosen, order } = this;
    const { values } = this.columns[order.column];
    const compare = comparison(order.ascends);
    this.rows = table.names.map((_, row) => row).filter((row) =>
      chosen.groups.has(table.group_of[row]) && table.names[row].toLowerCase().includes(chosen.text));
    this.rows.sort((a, b) => compare(values[a], values[b]));
    this.status.textContent = `${this.rows.length.toLocaleString("en")} of ${table.names.length.toLocaleString("en")} categories`;
    this.grid.setAttribute("aria-rowcount", this.rows.length + 1);
    this.frame.scrollTop = 0;
    this.draw();
  }

  /** Paper has all rows in sight. */
  print(prints) {
    this.prints = prints;
    this.draw();
  }

  draw() {
    const all = this.prints;
    const start = all ? 0 : Math.max(0, Math.floor(this.frame.scrollTop / ROW) - SPARE);
    const end = all ? this.rows.length : Math.min(this.rows.length, start + Math.ceil(this.frame.clientHeight / ROW) + 2 * SPARE);
    const focused = this.body.contains(document.activeElement) ? document.activeElement.hash : null;
    this.body.replaceChildren(
      this.gap(start), ...this.rows.slice(start, end).map((row, place) => this.row(row, start + place)), this.gap(this.rows.length - end));
    if (focused) this.body.querySelector(`a[href="${focused}"]`)?.focus({ preventScroll: true });
  }

  gap(rows) {
    const cell = make("td", { colspan: this.columns.length });
    cell.style.height = `${rows * ROW}px`;
    return make("tr", { class: "gap", "aria-hidden": "true" }, cell);
  }

  row(row, place) {
    const { table } = this;
    const link = make("a", { href: `#category=${table.ids[row]}` }, table.names[row]);
    const { name, shade } = table.groups[table.group_of[row]];
    const numbers = this.columns.slice(2).map(({ values, text }) =>
      make("td", { class: "number" }, values[row] === null ? "–" : text(values[row])));
    return make("tr", { "aria-rowindex": place + 2 },
      make("th", { scope: "row", class: "text", title: table.names[row] }, link),
      make("td", {}, make("span", { class: `group ${shade}` }, name)), ...numbers);
  }
}

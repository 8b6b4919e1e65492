// Tables that the page comes with: their rows can be sorted, and where there are many, filtered.

/** Make buttons of the titles of columns; `sort` is told the column and whether it ascends. */
function sortButtons(cells, sort) {
  cells.forEach((cell, column) => {
    const text = cell.classList.contains("text");
    const button = make("button", { type: "button" });
    button.append(...cell.childNodes);
    button.addEventListener("click", () => {
      const before = cell.getAttribute("aria-sort");
      const ascends = before ? before === "descending" : text;
      cells.forEach((other) => other.removeAttribute("aria-sort"));
      cell.setAttribute("aria-sort", ascends ? "ascending" : "descending");
      sort(column, ascends);
    });
    cell.append(button);
  });
}

/** Compare numbers, or texts; what has no value comes last either way. */
function comparison(ascends) {
  const sign = ascends ? 1 : -1;
  return (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "number" ? a - b : a.localeCompare(b));
  };
}

function valueOf(cell) {
  if (cell.tagName === "TH") return cell.textContent;
  return cell.dataset.value ? Number(cell.dataset.value) : null;
}

function sortable(table) {
  const body = table.tBodies[0];
  sortButtons([...table.tHead.rows[0].cells], (column, ascends) => {
    const compare = comparison(ascends);
    const rows = [...body.rows].map((row) => [valueOf(row.cells[column]), row]);
    rows.sort(([a], [b]) => compare(a, b));
    body.append(...rows.map(([, row]) => row));
  });
  if (body.rows.length > 6) table.parentElement.before(filterOf(body, table.caption.textContent));
}

function filterOf(body, title) {
  const box = make("input", { type: "search", placeholder: "Filter heads", "aria-label": `Filter ${title}` });
  box.addEventListener("input", () => {
    const wanted = box.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
  });
  return make("div", { class: "controls" }, box);
}

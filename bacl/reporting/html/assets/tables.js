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
}

/** One filter for all tables of a section, where they have many rows. */
function filterable(section) {
  const tables = [...section.querySelectorAll("table.sortable")];
  if (!tables.some((table) => table.tBodies[0].rows.length > 6)) return;
  const title = section.querySelector("h2").textContent;
  const box = make("input", { type: "search", placeholder: "Filter rows", "aria-label": `Filter the rows of ${title}` });
  box.addEventListener("input", () => {
    const wanted = box.value.toLowerCase();
    for (const row of tables.flatMap((table) => [...table.tBodies[0].rows])) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
    }
  });
  section.querySelector("h2").after(make("div", { class: "controls" }, box));
}

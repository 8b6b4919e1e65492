// A page for a category: its numbers, its curves, and examples of what was trained on and found.

const KINDS = [
  ["training", "Training objects", "The largest, each of another image."],
  ["right", "Surest right detections", "Of all heads in turns, each of another image."],
  ["wrong", "Surest wrong detections", "What is annotated beneath stands below."],
];

function categoryPage(id) {
  const table = data("categories");
  const row = table ? table.ids.indexOf(id) : -1;
  if (row < 0) return null;
  const { name, shade } = table.groups[table.group_of[row]];
  const count = (number, unit) => `${number.toLocaleString("en")} ${unit}${number === 1 ? "" : "s"}`;
  const told = `${count(table.images[row], "training image")}, ${count(table.instances[row], "instance")}; ${count(table.objects[row], "validation object")}`;
  return make("div", {},
    turn(table, row),
    make("h2", { tabindex: -1 }, table.names[row]),
    make("p", {}, make("span", { class: `group ${shade}` }, name), ` · ${told}`),
    numbers(table, row),
    ...confusions(table, row),
    ...curvesOf(table, row),
    ...examples(table, row));
}

function turn(table, row) {
  const link = (place, text) => (place in table.ids ? make("a", { href: `#category=${table.ids[place]}` }, text) : null);
  return make("div", { class: "turn" }, make("a", { href: "#categories" }, "All categories"),
    link(row - 1, `← ${table.names[row - 1]}`), link(row + 1, `${table.names[row + 1]} →`));
}

function numbers(table, row) {
  const head = make("tr", {}, make("th", { scope: "col", class: "text" }, "head"),
    ...table.measures.map((title) => make("th", { scope: "col", class: "number" }, title)),
    data("thresholds") ? make("th", { scope: "col", class: "number" }, "threshold") : null);
  const first = table.values[table.heads[0]];
  const rows = table.heads.map((name, place) => make("tr", {}, make("th", { scope: "row", class: "text" }, name),
    ...table.measures.map((title) => measured(table.values[name][title][row], place ? first[title][row] : null)),
    threshold(name, row)));
  return make("div", { class: "scrolled", tabindex: 0, role: "region", "aria-label": "Measures of the category" },
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

/** The score from which on a head's detections of the category are taken, and whose it is. */
function threshold(head, row) {
  const found = data("thresholds")?.heads[head];
  if (!found) return null;
  return make("td", { class: "number" }, make("span", { class: "value" }, score(found.scores[row])),
    make("span", { class: "change" }, data("thresholds").owners[found.owners[row]]));
}

/** A number and its difference to the first head's: of one category nobody knows how sure that is. */
function measured(value, first) {
  const change = value === null || first === null ? null : make("span", { class: "change" }, signed(value - first));
  return make("td", { class: "number" }, make("span", { class: "value" }, percent(value)), change);
}

function curvesOf(table, row) {
  const series = (which) => table.heads.map((head, place) => {
    const curve = table.curves[head];
    const points = [];
    for (let at = curve?.starts[row] ?? 0; at < (curve?.starts[row + 1] ?? 0); at += 1) {
      points.push([Math.max(curve.scores[at], 1e-4), curve[which][at]]);
    }
    return { name: head, style: headClass(place), points };
  }).filter((each) => each.points.length);
  const [precision, recall] = ["precision", "recall"].map(series);
  if (!precision.length) return [make("p", { class: "note" }, "No detection of it was judged.")];
  const scores = precision.flatMap((each) => each.points.map(([value]) => value));
  const x = { title: "score threshold", logit: true, low: Math.min(...scores, 0.1), high: Math.min(Math.max(...scores, 0.9), 0.9995) };
  const y = (title) => ({ title, low: 0, high: 100 });
  return [
    make("h3", {}, "Precision and recall over the score threshold"),
    make("p", { class: "note" }, "At an IoU of 0.5, of what is judged, percent."),
    make("div", { class: "charts" }, chart("precision", x, y("precision"), precision), chart("recall", x, y("recall"), recall)),
  ];
}

function examples(table, row) {
  const found = data("examples");
  if (!found) return [];
  return KINDS.filter(([kind]) => found[kind]).flatMap(([kind, title, told]) => {
    const items = found[kind][row].map((each) => (example(kind === "wrong" ? each : kind === "right" ? each.slice(0, 3) : [each], table)));
    const strip = items.length ? make("ul", { class: "strip" }, ...items) : make("p", { class: "note" }, "None.");
    return [make("h3", {}, title), make("p", { class: "note" }, told), strip];
  });
}

function example([source, head, value, beneath], table) {
  const caption = [];
  if (head !== undefined) caption.push(`${table.heads[head]} ${score(value)}`);
  if (beneath !== undefined) caption.push(make("br"), beneath < 0 ? "nothing annotated" : `is ${table.names[beneath]}`);
  return make("li", {}, make("img", { src: source, width: 96, height: 96, alt: "" }), ...caption);
}

/** What became of its objects, what they are called, and what else is called by its name. */
function confusions(table, row) {
  const found = data("errors");
  if (!found) return [];
  const told = (pairs) => (pairs ?? []).map(([other, count]) => make("span", { class: "neighbour" },
    make("a", { href: `#category=${table.ids[other]}` }, table.names[other]), ` ${count.toLocaleString("en")}`));
  const rows = table.heads.map((head) => make("tr", {}, make("th", { scope: "row", class: "text" }, head),
    ...found.fates[head][row].map((count) => make("td", { class: "number" }, count.toLocaleString("en"))),
    make("td", {}, ...told(found.called[head][row])), make("td", {}, ...told(found.taken[head][row]))));
  const titles = [...found.kinds.map((kind) => make("th", { scope: "col", class: "number" }, kind)),
    ...["its objects are called", "called by its name are"].map((title) => make("th", { scope: "col", class: "text" }, title))];
  return [
    make("h3", {}, "Its objects, and what it is confused with"),
    make("p", { class: "note" }, "Where nobody can say that what an object is called is wrong there, it is not among the names."),
    make("div", { class: "scrolled", tabindex: 0, role: "region", "aria-label": "Confusions" },
      make("table", {}, make("thead", {}, make("tr", {}, make("th", { scope: "col", class: "text" }, "head"), ...titles)),
        make("tbody", {}, ...rows))),
  ];
}

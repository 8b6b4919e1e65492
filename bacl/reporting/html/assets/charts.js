// Curves as SVG. A chart is drawn for the width that it has, and again when that changes.

const EDGE = { left: 44, right: 12, top: 10, bottom: 40 };

/**
 * A chart with a legend whose buttons bring one curve to the front.
 * series: [{ name, style, points: [[x, y]], dots: [[x, y, text]], ring: [x, y] }]
 * x, y: { title, low, high, log, logit }
 */
function chart(title, x, y, series, chosen = null) {
  const svg = drawn("svg", { role: "img", "aria-label": describe(title, x, y, series) });
  const state = { front: chosen };
  const draw = () => drawChart(svg, x, y, series, state.front);
  const legend = series.length > 1 ? legendOf(series, state, draw) : null;
  new ResizeObserver(draw).observe(svg);
  return make("div", { class: "chart" }, title ? make("h4", {}, title) : null, svg, legend);
}

function describe(title, x, y, series) {
  const names = series.map((each) => each.name).filter(Boolean).join(", ");
  return `${title || y.title}: ${y.title} over ${x.title}${names ? ` of ${names}` : ""}`;
}

function legendOf(series, state, draw) {
  const buttons = series.map((each, place) =>
    make("button", { type: "button", class: each.style, "aria-pressed": String(state.front === place) }, each.name || "all"));
  buttons.forEach((button, place) => button.addEventListener("click", () => {
    state.front = state.front === place ? null : place;
    buttons.forEach((other, at) => other.setAttribute("aria-pressed", String(at === state.front)));
    draw();
  }));
  return make("div", { class: "legend" }, ...buttons);
}

function drawChart(svg, x, y, series, front) {
  const { width, height } = svg.getBoundingClientRect();
  if (!width) return;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const across = scaleOf(x, EDGE.left, width - EDGE.right);
  const up = scaleOf(y, height - EDGE.bottom, EDGE.top);
  const parts = [...axes(x, y, across, up, width, height)];
  const order = series.map((_, place) => place).sort((a, b) => (a === front) - (b === front));
  for (const place of order) parts.push(curve(series[place], across, up, front, place));
  svg.replaceChildren(...parts);
}

function curve(each, across, up, front, place) {
  const path = each.points.map(([a, b], at) => `${at ? "L" : "M"}${across(a).toFixed(1)} ${up(b).toFixed(1)}`).join("");
  const group = drawn("g", { class: `${each.style}${front !== null && front !== place ? " faded" : ""}` });
  if (front === place) {
    for (const [a, b, text] of each.dots ?? []) {
      group.append(drawn("circle", { class: "dot", cx: across(a), cy: up(b), r: 3.5 }, drawn("title", {}, text)));
    }
  }
  group.append(drawn("path", { class: "line", d: path }, drawn("title", {}, each.name || "all")));
  if (each.ring) group.append(drawn("circle", { class: "ring", cx: across(each.ring[0]), cy: up(each.ring[1]), r: 4.5 }));
  return group;
}

function* axes(x, y, across, up, width, height) {
  const bottom = height - EDGE.bottom;
  for (const tick of ticksOf(y)) {
    yield drawn("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: up(tick), y2: up(tick) });
    yield drawn("text", { x: EDGE.left - 6, y: up(tick) + 4, "text-anchor": "end" }, String(tick));
  }
  for (const tick of ticksOf(x)) {
    yield drawn("text", { x: across(tick), y: bottom + 16, "text-anchor": "middle" }, tick.toLocaleString("en"));
  }
  yield drawn("text", { x: (EDGE.left + width) / 2, y: height - 4, "text-anchor": "middle" }, x.title);
}

function scaleOf({ low, high, log, logit }, start, end) {
  const of = logit ? (value) => Math.log(value / (1 - value)) : log ? Math.log : (value) => value;
  const span = of(high) - of(low) || 1;
  const inside = (value) => (log || logit ? Math.min(Math.max(value, low), high) : value);
  return (value) => start + ((of(inside(value)) - of(low)) / span) * (end - start);
}

/** Scores crowd near 0 of one head and near 1 of another: on this axis both ends have room. */
const PROBABILITIES = [0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999];

function ticksOf({ low, high, log, logit }) {
  const found = [];
  if (logit) found.push(...PROBABILITIES);
  else if (log && high / low >= 8) {
    for (let decade = 10 ** Math.floor(Math.log10(low)); decade <= high; decade *= 10) {
      for (const step of high / low > 500 ? [1] : [1, 3]) found.push(Number((decade * step).toPrecision(3)));
    }
  } else {
    const rough = (high - low) / 5 || 1;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * ([1, 2, 5, 10].find((each) => each * unit >= rough) ?? 10);
    for (let value = Math.ceil(low / step) * step; value <= high + 1e-9; value += step) found.push(Number(value.toPrecision(6)));
  }
  return found.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
}

/** Low and high of values, from 0 on where nothing is below. */
function range(values, log = false) {
  const low = Math.min(...values), high = Math.max(...values);
  return log ? { low, high, log } : { low: Math.min(0, low), high: high > low ? high : low + 1 };
}

"use strict";
// What the other parts of the page are made with. Texts enter as texts, never as HTML.

const parsed = new Map();

/** Data of a section, or null; each is parsed when it is first asked for. */
function data(key) {
  if (!parsed.has(key)) {
    const block = document.getElementById(`data-${key}`);
    parsed.set(key, block && JSON.parse(block.textContent));
  }
  return parsed.get(key);
}

/** An element; attributes that are null or false are left out, functions are listeners. */
function make(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same of SVG. */
function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Percent with one decimal, so that they stand below each other; a dash where there is none. */
function percent(value) {
  return value === null || value === undefined ? "–" : value.toFixed(1);
}

/** A difference with its sign. */
function signed(value) {
  return value === null ? "" : value.toFixed(1).replace(/^-0\.0$/, "0.0").replace("-", "−").replace(/^(?=[\d])/, "+");
}

/** A score: of many sigmoids those far below 0.01 count. */
function score(value) {
  return value >= 0.01 || value === 0 ? value.toFixed(2) : value.toPrecision(2);
}

/** The style of the head at a position: seven colours, then the same dashed, then dotted. */
function headClass(position) {
  return `head-${position % 7} dash-${Math.floor(position / 7) % 3}`;
}

/** A choice of several: boxes to tick, of which `chosen` (a Set) has the ticked ones. */
function ticks(title, options, chosen, changed) {
  const boxes = options.map(({ value, text, style }) => {
    const box = make("input", { type: "checkbox", value, checked: chosen.has(value) });
    box.addEventListener("change", () => {
      box.checked ? chosen.add(value) : chosen.delete(value);
      changed();
    });
    return make("label", {}, box, make("span", { class: style ?? null }, text));
  });
  return make("fieldset", {}, make("legend", {}, title), ...boxes);
}

/** A choice of one. */
function choice(title, options, changed) {
  const list = make("select", {}, ...options.map((text, place) => make("option", { value: place }, text)));
  list.addEventListener("change", () => changed(Number(list.value)));
  return make("label", {}, title, list);
}

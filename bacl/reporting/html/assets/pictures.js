// Pictures with boxes, which a threshold, heads, groups and verdicts select.

const LOWEST = 0.001; // score at the left end of the slider
const LETTERS = 12; // pixels on the screen
const OWN = null, PER_CATEGORY = "per category"; // in place of a score

class Pictures {
  constructor(found, view) {
    this.found = found;
    const { heads, groups } = found;
    this.chosen = {
      heads: new Set(["annotations", ...heads.slice(0, 2)]),
      groups: new Set(groups.keys()),
      verdicts: new Set(["right", "wrong", "unjudged"]),
      kind: null,
      threshold: found.threshold,
    };
    this.cards = found.images.map((image) => this.card(image));
    this.list = make("div", {}, ...this.cards.map(({ element }) => element));
    view.append(this.controls(), this.list);
    this.seen = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const card = this.cards.find(({ element }) => element === target);
        card.inSight = isIntersecting;
        if (isIntersecting) this.draw(card);
      }
    }, { rootMargin: "300px" });
    this.cards.forEach(({ element }) => this.seen.observe(element));
    new ResizeObserver(() => this.update()).observe(this.list);
  }

  controls() {
    const { found, chosen } = this;
    const update = () => this.update();
    const heads = ["annotations", ...found.heads].map((name) => ({ value: name, text: name }));
    const groups = found.groups.map(({ name, shade }, value) => ({ value, text: name, style: `group ${shade}` }));
    const verdicts = ["right", "wrong", "unjudged"].map((value) => ({ value, text: value === "unjudged" ? "not judged" : value }));
    const kinds = [...new Set(found.images.map((image) => image.kind))];
    const kind = choice("pictures ", ["all", ...kinds], (place) => { chosen.kind = place ? kinds[place - 1] : null; this.filter(); });
    const size = choice("size ", ["small", "large"], (place) => this.list.classList.toggle("large", place === 1));
    return make("div", { class: "controls" }, this.slider(), ticks("heads", heads, chosen.heads, () => this.setPanels()),
      ticks("groups", groups, chosen.groups, update), ticks("boxes", verdicts, chosen.verdicts, update), kind, size);
  }

  /** Which threshold counts: each head's own, one for all by the slider, or each category's. */
  slider() {
    const { chosen } = this;
    const modes = ["each head's own", "one for all", ...(data("thresholds") ? ["each category's own"] : [])];
    const mode = choice("threshold ", modes, (place) => change([OWN, read(), PER_CATEGORY][place]));
    const slider = make("input", { type: "range", min: 0, max: 1, step: 0.005, "aria-label": "Score threshold for all heads" });
    const shown = make("output");
    slider.value = 1 - Math.log(typeof chosen.threshold === "number" ? chosen.threshold : 0.5) / Math.log(LOWEST);
    const read = () => LOWEST ** (1 - Number(slider.value));
    const tell = () => {
      shown.textContent = typeof chosen.threshold === "number" ? `≥ ${score(chosen.threshold)}` : "";
      mode.lastChild.value = { number: 1, string: 2 }[typeof chosen.threshold] ?? 0;
      slider.setAttribute("aria-valuetext", shown.textContent);
    };
    const change = (threshold) => {
      chosen.threshold = threshold;
      tell();
      this.update();
    };
    slider.addEventListener("input", () => change(read()));
    tell();
    return make("fieldset", {}, mode, slider, shown);
  }

  card(image) {
    const panels = make("div", { class: "panels" });
    const title = make("h3", {}, `Image ${image.id} · ${image.told}`);
    const card = { image, panels, element: make("div", { class: "picture" }, title, panels), inSight: false };
    this.fill(card);
    return card;
  }

  fill(card) {
    const { image } = card;
    card.frames = ["annotations", ...this.found.heads].filter((head) => this.chosen.heads.has(head)).map((head) => {
      const svg = drawn("svg", { role: "img", "aria-label": head });
      const picture = make("img", { src: image.source, width: image.width, height: image.height, alt: "", loading: "lazy" });
      const caption = make("figcaption");
      return { head, svg, caption, element: make("figure", { class: "panel" }, caption, make("div", { class: "frame" }, picture, svg)) };
    });
    card.panels.replaceChildren(...card.frames.map(({ element }) => element));
  }

  setPanels() {
    this.cards.forEach((card) => this.fill(card));
    this.update();
  }

  filter() {
    for (const { image, element } of this.cards) element.hidden = this.chosen.kind !== null && image.kind !== this.chosen.kind;
    this.update();
  }

  update() {
    this.cards.forEach((card) => this.tell(card));
    this.cards.filter((card) => card.inSight).forEach((card) => this.draw(card));
  }

  /** Captions, of pictures out of sight too: a line that came later would move all below it. */
  tell({ image, frames }) {
    for (const { head, caption } of frames) caption.replaceChildren(make("strong", {}, head), this.boxes(image, head).told);
  }

  draw({ image, frames }) {
    for (const { head, svg } of frames) {
      const { boxes, told } = this.boxes(image, head);
      svg.setAttribute("aria-label", `${head}${told}: ${boxes.map((box) => box.text).join(", ")}`);
      drawBoxes(svg, image, boxes);
    }
  }

  /** What is drawn of a head, the best first. */
  boxes(image, head) {
    const { found, chosen } = this;
    const shade = (label) => found.groups[found.group_of[label]].shade;
    const inGroup = (label) => chosen.groups.has(found.group_of[label]);
    if (head === "annotations") {
      const boxes = image.truth.filter((row) => inGroup(row[4])).map(([a, b, c, d, label]) =>
        ({ corners: [a, b, c, d], text: found.names[label], shade: shade(label), verdict: "right" }));
      return { boxes, told: ` · ${image.truth.length}` };
    }
    const own = chosen.threshold === PER_CATEGORY ? data("thresholds").heads[head] : null;
    const threshold = chosen.threshold ?? found.thresholds[head];
    const kept = image.found[head].filter((row) => row[5] >= (own ? own.scores[row[4]] : threshold));
    const boxes = kept.filter((row) => inGroup(row[4]) && chosen.verdicts.has(row[6])).map(([a, b, c, d, label, value, verdict]) =>
      ({ corners: [a, b, c, d], text: `${found.names[label]} ${score(value)}`, shade: shade(label), verdict }));
    const all = kept.length === found.best ? `${kept.length} or more` : kept.length;
    const from = own ? "from their categories' scores on" : `with score ≥ ${score(threshold)}`;
    const told = ` · ${all} ${from}${boxes.length < kept.length ? `, ${boxes.length} shown` : ""}`;
    return { boxes, told };
  }
}

/** Boxes, then their names where none stands yet; what finds no place is told when it is pointed at. */
function drawBoxes(svg, image, boxes) {
  svg.setAttribute("viewBox", `0 0 ${image.width} ${image.height}`);
  const pixel = image.width / (svg.getBoundingClientRect().width || image.width);
  const outlines = boxes.map((box) => outline(box, pixel));
  const taken = [];
  const names = boxes.map((box) => nameOf(box, pixel, image, taken)).filter(Boolean);
  svg.replaceChildren(...outlines.reverse(), ...names.reverse());
}

function outline({ corners: [left, top, right, bottom], text, shade, verdict }, pixel) {
  const place = { x: left, y: top, width: Math.max(right - left, 0), height: Math.max(bottom - top, 0) };
  const dashes = { right: null, wrong: `${6 * pixel} ${4 * pixel}`, unjudged: `${1.5 * pixel} ${3 * pixel}` }[verdict];
  return drawn("g", {}, drawn("title", {}, text),
    drawn("rect", { class: "halo", ...place, "stroke-width": 3.5 * pixel }),
    drawn("rect", { class: `box ${shade} ${verdict}`, ...place, "stroke-width": 2 * pixel, "stroke-dasharray": dashes }));
}

const measuring = document.createElement("canvas").getContext("2d");

function nameOf({ corners: [left, top, right, bottom], text, shade, verdict }, pixel, image, taken) {
  measuring.font = `${LETTERS}px system-ui, sans-serif`;
  const width = (measuring.measureText(text).width + 8) * pixel, height = (LETTERS + 5) * pixel;
  const inside = (value, size, limit) => Math.min(Math.max(value, 0), Math.max(limit - size, 0));
  const spots = [[left, top - height], [left, bottom], [right - width, top - height], [right - width, bottom], [left, top], [left, bottom - height]];
  const places = spots.map(([x, y]) => [inside(x, width, image.width), inside(y, height, image.height)]);
  const free = places.find(([x, y]) => !taken.some(([a, b, w, h]) => x < a + w && a < x + width && y < b + h && b < y + height));
  if (!free) return null;
  const [x, y] = free;
  taken.push([x, y, width, height]);
  return drawn("g", {}, drawn("rect", { class: `plate ${shade} ${verdict}`, x, y, width, height, rx: 2 * pixel }),
    drawn("text", { x: x + 4 * pixel, y: y + height - 5 * pixel, style: null, "font-size": LETTERS * pixel }, text));
}

// The charts of the section of curves: AP by training data, shifts of scores, losses.

function showCurves() {
  const believed = document.getElementById("chart-reliability");
  if (believed) believed.append(reliabilityChart(data("thresholds").reliability));
  const found = data("curves");
  if (!found) return;
  const [byCount, shift, validations, losses] = ["by-count", "shift", "validations", "losses"].map((key) => document.getElementById(`chart-${key}`));
  if (byCount && data("categories")) byCount.append(precisionByCount(data("categories")));
  if (shift) shift.append(shiftChart(found.shift, found.heads));
  if (validations) for (const [title, curves] of Object.entries(found.validations)) validations.append(lossChart(title, curves, found.heads));
  if (losses) for (const [title, curves] of Object.entries(found.losses)) losses.append(lossChart(title, curves, found.heads));
}

function precisionByCount(table) {
  const counts = (table.by_instances ? table.instances : table.images).map((count) => Math.max(count, 1));
  const order = counts.map((_, place) => place).sort((a, b) => counts[a] - counts[b]);
  const series = table.heads.map((head, place) => {
    const values = table.values[head].AP;
    const known = order.filter((category) => values[category] !== null);
    return {
      name: head,
      style: headClass(place),
      points: smoothed(known.map((each) => [counts[each], values[each]])),
      dots: known.map((each) => [counts[each], values[each], `${table.names[each]}: ${percent(values[each])}`]),
    };
  });
  const unit = table.by_instances ? "training instances" : "training images";
  const x = { title: `${unit} of a category`, ...range(counts, true) };
  return chart("AP, percent", x, { title: "AP", low: 0, high: 100 }, series, Math.min(1, series.length - 1));
}

/** Running mean over a tenth of the categories; one point for each number of training images. */
function smoothed(points) {
  const half = Math.max(1, Math.floor(points.length / 20));
  const mean = (place) => {
    const around = points.slice(Math.max(0, place - half), place + half + 1);
    return around.reduce((sum, [, value]) => sum + value, 0) / around.length;
  };
  const last = new Map(points.map(([count], place) => [count, place]));
  return [...last].map(([count, place]) => [count, mean(place)]);
}

function reliabilityChart(heads) {
  const series = Object.entries(heads).map(([name, points], place) => ({
    name, style: headClass(place), points: points.map((point) => point.map((share) => 100 * share)),
  }));
  const diagonal = { name: "as the score says", style: "shared", points: [[0, 0], [100, 100]] };
  const x = { title: "mean score of a bin, percent", low: 0, high: 100 };
  return chart("right detections, percent", x, { title: "right detections", low: 0, high: 100 }, [...series, diagonal]);
}

function shiftChart(shift, heads) {
  const series = Object.entries(shift.heads).map(([head, rows]) => ({
    name: head,
    style: headClass(heads.indexOf(head)),
    points: rows.map(([, rare, frequent]) => [frequent, rare]),
    dots: rows.map(([gamma, rare, frequent]) => [frequent, rare, `γ = ${gamma}: ${percent(frequent)}, ${percent(rare)}`]),
    ring: rows.filter(([gamma]) => gamma === 0).map(([, rare, frequent]) => [frequent, rare])[0],
  }));
  const points = series.flatMap((each) => each.points);
  const x = { title: `right labels of ${shift.frequent}, percent`, low: Math.min(...points.map(([a]) => a)), high: 100 };
  const y = { title: `right labels of ${shift.rare}`, low: 0, high: 100 };
  return chart(`right labels of ${shift.rare}, percent`, x, y, series);
}

function lossChart(title, curves, heads) {
  const series = Object.entries(curves).map(([head, points]) => ({
    name: head,
    style: head ? headClass(Math.max(0, heads.indexOf(head))) : "shared",
    points,
  }));
  const values = series.flatMap((each) => each.points.map(([, value]) => value));
  const positive = values.filter((value) => value > 0);
  const log = positive.length === values.length && Math.max(...values) / Math.min(...values) > 20;
  const x = { title: "step", ...range(series.flatMap((each) => each.points.map(([step]) => step))) };
  return chart(title.replaceAll("_", " "), x, { title: "loss", ...range(values, log) }, series);
}

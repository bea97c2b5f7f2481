// The variants of each content and style in a row, one column per set of parameters.

const MOST_COLUMNS = 40;
const SHOWN = ["color", "histogram_loss", "structure", "edges", "lpips"];

const groupOf = (pair) => `${pair.c} ${pair.s}`;

/** Parameters that tell variants apart, as one text. */
function parametersOf(pair) {
  const own = data.params[pair.p].filter(([label]) => differing.includes(label));
  return own.map(([label, value]) => `${label} ${value}`).join(", ");
}

const hasVariants = new Set(sampled.map(groupOf)).size < sampled.length;

/** The column of each pair: its parameters, or its place where these are drawn anew per pair. */
const columnOf = (() => {
  const places = new Map(), groups = new Map(), seen = new Set();
  sorted.content.forEach((pair) => {
    const place = (groups.get(groupOf(pair)) ?? 0) + 1;
    groups.set(groupOf(pair), place);
    places.set(pair.id, `variant ${place}`);
    seen.add(`${groupOf(pair)} ${parametersOf(pair)}`);
  });
  const columns = new Set(sampled.map(parametersOf));
  const distinct = seen.size === sampled.length && columns.size <= MOST_COLUMNS;
  return distinct ? parametersOf : (pair) => places.get(pair.id);
})();

/** The measures that stand below a picture. */
function shownMeasures() {
  const names = SHOWN.filter((name) => numberOf.has(name)).slice(0, 4);
  if (numberOf.has(state.sort) && !names.includes(state.sort)) names.push(state.sort);
  return names.map((name) => numberOf.get(name));
}

function valuesNode(values) {
  return el("span", { className: "values" }, ...values.flatMap(([label, text]) =>
    [el("span", { textContent: label }), el("b", { textContent: text })]));
}

function layVariants(pairs) {
  const rows = new Map(), columns = new Set();
  pairs.forEach((pair) => {
    const row = rows.get(groupOf(pair)) ?? new Map();
    rows.set(groupOf(pair), row.set(columnOf(pair), pair));
    columns.add(columnOf(pair));
  });
  return { rows: [...rows], columns: [...columns].sort(collator.compare) };
}

function variantHeading(column) {
  const pairs = visible().filter((pair) => columnOf(pair) === column);
  const means = shownMeasures().map((number) => {
    const values = pairs.map((pair) => pair.q[number]).filter((value) => value !== null);
    const mean = values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
    return [data.measures[number].label, amount(mean)];
  });
  return el("th", { scope: "col" }, el("b", { textContent: column }), means.length ? valuesNode(means) : null);
}

function variantCell(pair) {
  if (!pair) return el("td", { className: "void", textContent: "not made" });
  const own = columnOf === parametersOf ? "" : parametersOf(pair);
  const values = shownMeasures().map((number) => [data.measures[number].label, amount(pair.q[number])]);
  const name = `${titleOf(pair)}${parametersOf(pair) ? `, ${parametersOf(pair)}` : ""}`;
  return el("td", {}, opener(pair, { className: "cell", name }, picture(pair.image, "")),
    own ? el("span", { className: "name", textContent: own }) : null,
    values.length ? valuesNode(values) : null);
}

function variantRow([, cells], columns) {
  const [{ c, s }] = cells.values();
  const source = (role, number) => [
    picture(data[role][number].image, "", "mini"),
    el("span", { className: "name", textContent: shortName(nameOf(role, number)), title: nameOf(role, number) }),
  ];
  const head = el("th", { scope: "row", className: "sources" }, ...source("contents", c), ...source("styles", s));
  return el("tr", {}, head, ...columns.map((column) => variantCell(cells.get(column))));
}

function drawVariants({ rows, columns }) {
  const corner = shownMeasures().length ? "variants →\nmean of each" : "variants →";
  const head = el("tr", {}, el("td", { className: "corner", textContent: corner }), ...columns.map(variantHeading));
  return tableNode("Content and style as rows, variants as columns", head,
    rows.map((row) => variantRow(row, columns)), columns.length, "variants");
}

TABLES.variants = {
  nouns: ["Rows", "Variants"], lay: layVariants, row: groupOf, column: columnOf, draw: drawVariants,
  between: collator.compare,
};

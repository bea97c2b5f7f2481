// The measures of pairs: their texts, their limits, and the orders that they give.

const numberOf = new Map(data.measures.map(({ name }, number) => [name, number]));
const sortedMeasure = () => data.measures[numberOf.get(state.sort)];

function amount(value, digits = 2) {
  if (value === null) return "–";
  return value.toFixed(value && Math.abs(value) < 0.1 ? digits + 1 : digits);
}

const valueText = (pair, number) => `${data.measures[number].label} ${amount(pair.q[number])}`;
const sortedAmount = (pair) => amount(pair.q[numberOf.get(state.sort)]);
/** The measure that the pairs are sorted by, in words; empty where they are not. */
const sortedValue = (pair) => (sortedMeasure() ? valueText(pair, numberOf.get(state.sort)) : "");

/** The limits that a pair is beyond, the worst first. */
function limitsOf(pair) {
  const excess = ({ m, above, value, room }) => ((above ? 1 : -1) * (pair.q[m] - value)) / room;
  return data.limits
    .filter((limit) => pair.q[limit.m] !== null && (limit.rule ? pair.rejected && excess(limit) >= 0 : excess(limit) > 0))
    .sort((a, b) => b.rule - a.rule || excess(b) - excess(a));
}

/** Why a pair needs a look. */
function reasonsOf(pair) {
  return limitsOf(pair).map((limit) => {
    const value = pair.q[limit.m], short = amount(value);
    return `${limit.words}: ${Number(short) === limit.value ? amount(value, 3) : short}`;
  });
}

/** Ranks of groups of pairs by the mean of a measure; those without it come last. */
function meanRanks(pairs, groupOf, number) {
  const sums = new Map(), sign = (data.measures[number].better || 1) * (state.order === "first" ? 1 : -1);
  pairs.forEach((pair) => {
    const group = groupOf(pair), sum = sums.get(group) ?? { total: 0, count: 0 };
    sums.set(group, sum);
    if (pair.q[number] === null) return;
    sum.total += sign * pair.q[number];
    sum.count += 1;
  });
  const mean = ({ total, count }) => (count ? total / count : Infinity);
  const order = [...sums].sort(([, a], [, b]) => (mean(a) === mean(b) ? 0 : mean(a) - mean(b)));
  return new Map(order.map(([group], rank) => [group, rank]));
}

/** The pairs, given in the order of their names, in that of the view and the chosen measure. */
function measured(pairs) {
  const number = numberOf.get(state.sort), view = TABLES[state.view];
  if (number === undefined && !view?.between) return pairs;
  const ranks = (keyOf) => (number === undefined
    ? new Map(pairs.toReversed().map((pair, place) => [keyOf(pair), -place]))
    : meanRanks(pairs, keyOf, number));
  const row = view?.row ?? ((pair) => pair.id), rows = ranks(row);
  const columns = view && !view.between ? ranks(view.column) : null;
  const across = (a, b) => (columns ? columns.get(view.column(a)) - columns.get(view.column(b))
    : view?.between(view.column(a), view.column(b)) ?? 0);
  return [...pairs].sort((a, b) => rows.get(row(a)) - rows.get(row(b)) || across(a, b));
}

/** Styles as columns of the grid, given in the order of their names. */
function stylesInOrder(styles, pairs) {
  const number = numberOf.get(state.sort);
  if (number === undefined) return styles;
  const ranks = meanRanks(pairs, (pair) => pair.s, number);
  return [...styles].sort((a, b) => ranks.get(a) - ranks.get(b));
}

function offerMeasures() {
  if (!data.measures.length) return;
  const options = data.measures.map(({ name, label }) => el("option", { value: name, textContent: label }));
  byId("sort").append(el("optgroup", { label: "measure" }, ...options));
  byId("flagging").hidden = !sampled.some((pair) => limitsOf(pair).length);
}

/** The sorting controls, as far as the view has a use for them. */
function renderSorting() {
  const measure = sortedMeasure(), isTable = state.view in TABLES;
  byId("sorting").hidden = isTable && !data.measures.length;
  byId("sort").querySelector("[value=style]").hidden = isTable;
  byId("sort").querySelector("[value=content]").textContent = isTable ? "file name" : "content";
  if (isTable && state.sort === "style") state.sort = "content";
  byId("sort").value = state.sort;
  byId("ordering").hidden = !measure;
  const words = measure?.better === 0 ? ["lowest first", "highest first"] : ["worst first", "best first"];
  [...byId("order").options].forEach((option, place) => { option.textContent = words[place]; });
}

function showMeasures(pair) {
  const beyond = new Set(limitsOf(pair).map(({ m }) => m));
  byId("viewer-measures").replaceChildren(...data.measures.map(({ label, meaning }, number) =>
    el("div", { title: meaning, className: beyond.has(number) ? "bad" : "" },
      el("dt", { textContent: label }), el("dd", { textContent: amount(pair.q[number], 3) }))));
  byId("viewer-measures").hidden = !data.measures.length;
  const reasons = reasonsOf(pair);
  byId("viewer-reasons").replaceChildren(...reasons.map((reason) => el("li", { textContent: reason })));
  byId("viewer-reasons").hidden = !reasons.length;
}

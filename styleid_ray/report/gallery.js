"use strict";
// The gallery: which pairs are shown, in what order, on which page. Names are only ever set as text.

const data = JSON.parse(document.getElementById("data").textContent);
const CARDS_A_PAGE = 24, ROWS_A_PAGE = 10, COLUMNS_A_PAGE = 10;
const collator = new Intl.Collator(undefined, { numeric: true });
const byId = (id) => document.getElementById(id);

const state = { view: "cards", filter: "", sort: "content", order: "first", flagged: false, page: { rows: 0, columns: 0 } };
const sampled = data.pairs.filter((pair) => !pair.extra);

function el(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** A picture, or a placeholder of the same shape that says what is not there. */
function picture(source, alt, className = "") {
  if (source) {
    return el("img", { src: source, alt, className, loading: "lazy", decoding: "async", draggable: false });
  }
  const node = el("span", { className: `none ${className}`, textContent: "not available" });
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", `${alt || "picture"}: not available`);
  return node;
}

const nameOf = (role, number) => data[role][number].name;
const shortName = (name) => name.split("/").pop() || name;

function titleOf(pair) {
  const times = pair.k ? ` (${pair.k + 1})` : "";
  return `${nameOf("contents", pair.c)} in the style of ${nameOf("styles", pair.s)}${times}`;
}

/** Parameters in which the page's pairs differ: worth a line on the card. */
const differing = (() => {
  const seen = new Map();
  data.params.forEach((params) => params.forEach(([label, value]) => {
    seen.set(label, (seen.get(label) ?? new Set()).add(value));
  }));
  return [...seen].filter(([, values]) => values.size > 1).map(([label]) => label);
})();

function detailOf(pair) {
  const own = data.params[pair.p].filter(([label]) => differing.includes(label));
  return [`${pair.w} × ${pair.h}`, ...own.map(([label, value]) => `${label} ${value}`)].join(" · ");
}

const sorted = (() => {
  const rank = (role) => {
    const order = data[role].map((_, i) => i);
    order.sort((a, b) => collator.compare(nameOf(role, a), nameOf(role, b)));
    const ranks = [];
    order.forEach((number, place) => { ranks[number] = place; });
    return ranks;
  };
  const c = rank("contents"), s = rank("styles");
  const by = (one, two) => (a, b) => one(a) - one(b) || two(a) - two(b) || a.k - b.k || a.p - b.p;
  const content = (pair) => c[pair.c], style = (pair) => s[pair.s];
  return {
    content: [...sampled].sort(by(content, style)),
    style: [...sampled].sort(by(style, content)),
  };
})();

/** The pairs that match the filter, in the order in which the viewer walks through them. */
function visible() {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const all = sorted[state.view === "cards" && state.sort === "style" ? "style" : "content"];
  const order = state.flagged ? all.filter((pair) => limitsOf(pair).length) : all;
  if (!words.length) return measured(order);
  return measured(order.filter((pair) => {
    const text = `${nameOf("contents", pair.c)} ${nameOf("styles", pair.s)}`.toLowerCase();
    return words.every((word) => text.includes(word));
  }));
}

/** A button that opens a pair's viewer, to walk on through `walk` or else what is visible. */
function opener(pair, { className, name = titleOf(pair), walk = null }, ...children) {
  const button = el("button", { type: "button", className }, ...children);
  button.setAttribute("aria-label", name);
  button.dataset.pair = pair.id;
  button.addEventListener("click", () => openViewer(pair, walk));
  return button;
}

function about(pair, ...details) {
  const line = (role, number) => [
    picture(data[role][number].image, "", "mini"),
    el("span", { className: "name", textContent: nameOf(role, number), title: nameOf(role, number) }),
  ];
  return el("span", { className: "about" }, ...line("contents", pair.c), ...line("styles", pair.s), ...details);
}

function card(pair) {
  const value = sortedValue(pair);
  const detail = el("span", { className: "detail", textContent: detailOf(pair) },
    value ? el("b", { className: "value", textContent: ` · ${value}` }) : null);
  const options = { className: "card", name: value ? `${titleOf(pair)}, ${value}` : titleOf(pair) };
  return el("li", {}, opener(pair, options, picture(pair.image, "", "result"), about(pair, detail)));
}

function cards(pairs, page) {
  const shown = pairs.slice(page * CARDS_A_PAGE, (page + 1) * CARDS_A_PAGE);
  return el("ul", { className: "cards" }, ...shown.map(card));
}

/** Rows, columns and cells of the grid: pairs of the same content and style share a cell. */
function table(pairs) {
  const rows = new Map(), columns = new Set();
  pairs.forEach((pair) => {
    if (!rows.has(pair.c)) rows.set(pair.c, new Map());
    const row = rows.get(pair.c);
    row.set(pair.s, [...(row.get(pair.s) ?? []), pair]);
  });
  sorted.style.forEach((pair) => { if (rows.get(pair.c)?.has(pair.s)) columns.add(pair.s); });
  return { rows: [...rows], columns: stylesInOrder([...columns], pairs) };
}

function heading(role, number, scope) {
  const name = nameOf(role, number);
  return el("th", { scope },
    picture(data[role][number].image, ""),
    el("span", { className: "name", textContent: shortName(name), title: name }));
}

function cell(found) {
  if (!found) return el("td", { className: "void", textContent: "not made" });
  const [pair] = found, value = sortedValue(pair);
  const more = found.length > 1 ? el("span", { className: "more", textContent: `× ${found.length}` }) : null;
  const badge = value ? el("span", { className: "badge", textContent: sortedAmount(pair) }) : null;
  const options = { className: "cell", name: value ? `${titleOf(pair)}, ${value}` : titleOf(pair) };
  return el("td", {}, opener(pair, options, picture(pair.image, ""), badge, more));
}

function tableNode(label, head, body, columns, className = "") {
  const made = el("table", { className: `grid ${className}` }, el("thead", {}, head), el("tbody", {}, ...body));
  made.style.setProperty("--columns", columns + 1);
  const node = el("div", { className: "scroll", tabIndex: 0 }, made);
  node.setAttribute("role", "region");
  node.setAttribute("aria-label", label);
  return node;
}

function grid({ rows, columns }) {
  const head = el("tr", {}, el("td", { className: "corner", textContent: "contents ↓\nstyles →" }),
    ...columns.map((style) => heading("styles", style, "col")));
  const body = rows.map(([content, cells]) => el("tr", {}, heading("contents", content, "row"),
    ...columns.map((style) => cell(cells.get(style)))));
  return tableNode("Contents as rows, styles as columns", head, body, columns.length);
}

/** The views that are tables: how pairs are laid out, where one lies, and how a page is drawn. */
const TABLES = {
  grid: { nouns: ["Contents", "Styles"], lay: table, row: (pair) => pair.c, column: (pair) => pair.s, draw: grid },
};

function turn(which, by) {
  state.page[which] += by;
  render();
  byId("gallery").scrollIntoView();
}

function pager(node, which, count, size, noun) {
  const pages = Math.max(1, Math.ceil(count / size));
  const page = state.page[which] = Math.min(state.page[which], pages - 1);
  const button = (text, by) => {
    const made = el("button", { type: "button", textContent: text, disabled: !pages || page + by < 0 || page + by >= pages });
    made.addEventListener("click", () => {
      turn(which, by);
      const again = [...node.querySelectorAll("button")];
      (again.find((one) => one.textContent === text && !one.disabled) ?? again.find((one) => !one.disabled))
        ?.focus({ preventScroll: true });
    });
    return made;
  };
  const last = Math.min(count, (page + 1) * size);
  const said = `${noun} ${(page * size + 1).toLocaleString("en")}–${last.toLocaleString("en")} of ${count.toLocaleString("en")}`;
  node.replaceChildren(button("Previous", -1), el("span", { textContent: said }), button("Next", 1));
  node.hidden = pages < 2;
}

const pagers = (which) => document.querySelectorAll(`[data-pager=${which}]`);

function pageOf(list, which, size) {
  return list.slice(state.page[which] * size, (state.page[which] + 1) * size);
}

function render() {
  const pairs = visible();
  byId("count").textContent = `${pairs.length.toLocaleString("en")} ${pairs.length === 1 ? "pair" : "pairs"}`;
  renderSorting();
  const view = TABLES[state.view], laid = view?.lay(pairs);
  const [down, across] = view?.nouns ?? ["Pairs", ""];
  pagers("columns").forEach((node) => {
    node.setAttribute("aria-label", across);
    pager(node, "columns", laid?.columns.length ?? 0, COLUMNS_A_PAGE, across);
  });
  pagers("rows").forEach((node) => (laid
    ? pager(node, "rows", laid.rows.length, ROWS_A_PAGE, down)
    : pager(node, "rows", pairs.length, CARDS_A_PAGE, down)));
  const nothing = () => el("p", { className: "empty-state", textContent: state.flagged ? "No such pair is beyond a limit." : "No file name matches the filter." });
  const drawn = () => (laid
    ? view.draw({ rows: pageOf(laid.rows, "rows", ROWS_A_PAGE), columns: pageOf(laid.columns, "columns", COLUMNS_A_PAGE) })
    : cards(pairs, state.page.rows));
  byId("pictures").replaceChildren(pairs.length ? drawn() : nothing());
}

/** Turns to the page that shows a pair and gives it the focus. */
function reveal(pair) {
  const pairs = visible(), view = TABLES[state.view];
  if (view) {
    const { rows, columns } = view.lay(pairs);
    state.page.rows = Math.floor(rows.findIndex(([row]) => row === view.row(pair)) / ROWS_A_PAGE);
    state.page.columns = Math.floor(columns.indexOf(view.column(pair)) / COLUMNS_A_PAGE);
  } else {
    state.page.rows = Math.floor(pairs.indexOf(pair) / CARDS_A_PAGE);
  }
  render();
  const buttons = [...byId("pictures").querySelectorAll("button")];
  (buttons.find((one) => one.dataset.pair === pair.id)
    ?? buttons.find((one) => one.ariaLabel?.startsWith(titleOf({ ...pair, k: 0 }))))?.focus();
}

function change(changes) {
  Object.assign(state, changes, { page: { rows: 0, columns: 0 } });
  render();
}

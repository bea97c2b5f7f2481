"use strict";
// The gallery: which pairs are shown, in what order, on which page. Names are only ever set as text.

const data = JSON.parse(document.getElementById("data").textContent);
const CARDS_A_PAGE = 24, ROWS_A_PAGE = 10, COLUMNS_A_PAGE = 10;
const collator = new Intl.Collator(undefined, { numeric: true });
const byId = (id) => document.getElementById(id);

const state = { view: "cards", filter: "", sort: "content", page: { rows: 0, columns: 0 } };

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
    content: [...data.pairs].sort(by(content, style)),
    style: [...data.pairs].sort(by(style, content)),
  };
})();

/** The pairs that match the filter, in the order in which the viewer walks through them. */
function visible() {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const order = sorted[state.view === "grid" ? "content" : state.sort];
  if (!words.length) return order;
  return order.filter((pair) => {
    const text = `${nameOf("contents", pair.c)} ${nameOf("styles", pair.s)}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

function opener(pair, className, ...children) {
  const button = el("button", { type: "button", className }, ...children);
  button.setAttribute("aria-label", titleOf(pair));
  button.dataset.pair = pair.id;
  button.addEventListener("click", () => openViewer(pair));
  return button;
}

function card(pair) {
  const line = (role, number) => [
    picture(data[role][number].image, "", "mini"),
    el("span", { className: "name", textContent: nameOf(role, number), title: nameOf(role, number) }),
  ];
  const about = el("span", { className: "about" },
    ...line("contents", pair.c), ...line("styles", pair.s),
    el("span", { className: "detail", textContent: detailOf(pair) }));
  return el("li", {}, opener(pair, "card", picture(pair.image, "", "result"), about));
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
  return { rows: [...rows], columns: [...columns] };
}

function heading(role, number, scope) {
  const name = nameOf(role, number);
  return el("th", { scope },
    picture(data[role][number].image, ""),
    el("span", { className: "name", textContent: shortName(name), title: name }));
}

function cell(found) {
  if (!found) return el("td", { className: "void", textContent: "not there" });
  const more = found.length > 1 ? el("span", { className: "more", textContent: `× ${found.length}` }) : null;
  return el("td", {}, opener(found[0], "cell", picture(found[0].image, ""), more));
}

function grid({ rows, columns }, page) {
  const across = columns.slice(page.columns * COLUMNS_A_PAGE, (page.columns + 1) * COLUMNS_A_PAGE);
  const down = rows.slice(page.rows * ROWS_A_PAGE, (page.rows + 1) * ROWS_A_PAGE);
  const head = el("tr", {}, el("td", { className: "corner", textContent: "contents ↓\nstyles →" }),
    ...across.map((style) => heading("styles", style, "col")));
  const body = down.map(([content, cells]) => el("tr", {}, heading("contents", content, "row"),
    ...across.map((style) => cell(cells.get(style)))));
  const made = el("table", { className: "grid" }, el("thead", {}, head), el("tbody", {}, ...body));
  made.style.setProperty("--columns", across.length + 1);
  const node = el("div", { className: "scroll", tabIndex: 0 }, made);
  node.setAttribute("role", "region");
  node.setAttribute("aria-label", "Contents as rows, styles as columns");
  return node;
}

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

function render() {
  const pairs = visible();
  byId("count").textContent = `${pairs.length.toLocaleString("en")} ${pairs.length === 1 ? "pair" : "pairs"}`;
  byId("sorting").hidden = state.view === "grid";
  const asGrid = state.view === "grid" ? table(pairs) : null;
  pagers("columns").forEach((node) => pager(node, "columns", asGrid?.columns.length ?? 0, COLUMNS_A_PAGE, "Styles"));
  pagers("rows").forEach((node) => (asGrid
    ? pager(node, "rows", asGrid.rows.length, ROWS_A_PAGE, "Contents")
    : pager(node, "rows", pairs.length, CARDS_A_PAGE, "Pairs")));
  const nothing = () => el("p", { className: "empty-state", textContent: "No file name matches the filter." });
  const node = !pairs.length ? nothing() : asGrid ? grid(asGrid, state.page) : cards(pairs, state.page.rows);
  byId("pictures").replaceChildren(node);
}

/** Turns to the page that shows a pair and gives it the focus. */
function reveal(pair) {
  const pairs = visible();
  if (state.view === "grid") {
    const { rows, columns } = table(pairs);
    state.page.rows = Math.floor(rows.findIndex(([content]) => content === pair.c) / ROWS_A_PAGE);
    state.page.columns = Math.floor(columns.indexOf(pair.s) / COLUMNS_A_PAGE);
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

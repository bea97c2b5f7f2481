// The viewer: one pair at a time, large, beside what it was made of.

const viewer = byId("viewer");
let open = null;
/** The pairs to walk through, where these are not the visible ones. */
let walk = null;
const walked = () => walk ?? visible();

function figure(label, source, name, className, file = null) {
  const caption = el("figcaption", {}, el("b", { textContent: label }), ` ${name} `);
  if (file) caption.append(el("a", { href: file, target: "_blank", rel: "noopener", textContent: "full size" }));
  return el("figure", { className }, picture(source, `${label}: ${name}`), caption);
}

function showPair(pair) {
  open = pair;
  const order = walked(), place = order.indexOf(pair);
  const content = data.contents[pair.c], style = data.styles[pair.s];
  byId("viewer-title").textContent = titleOf(pair);
  byId("viewer-place").textContent = `${(place + 1).toLocaleString("en")} of ${order.length.toLocaleString("en")}`;
  byId("viewer-figures").replaceChildren(
    figure("Content", content.image, content.name, "is-content"),
    figure("Style", style.image, style.name, "is-style"),
    figure("Result", pair.image, `${pair.w} × ${pair.h}`, "is-result", pair.file));
  const facts = [["size", `${pair.w} × ${pair.h} px`], ...data.params[pair.p]];
  if (pair.k) facts.push(["variant", String(pair.k)]);
  if (pair.t !== null) facts.push(["time", `${pair.t.toPrecision(3)} s`]);
  facts.push(["pair id", pair.id]);
  showMeasures(pair);
  byId("viewer-facts").replaceChildren(...facts.map(([label, value]) =>
    el("div", { className: label === "pair id" ? "wide" : "" }, el("dt", { textContent: label }), el("dd", { textContent: value }))));
  byId("viewer-previous").disabled = place <= 0;
  byId("viewer-next").disabled = place >= order.length - 1;
}

function openViewer(pair, among = null) {
  walk = among;
  showPair(pair);
  viewer.showModal();
  viewer.scrollTop = 0;
}

function step(by) {
  const order = walked(), next = order[order.indexOf(open) + by];
  if (next) showPair(next);
}

/** To the same column in the row above or below, in a table. */
function stepRow(by) {
  const order = walked(), { row, column } = TABLES[state.view];
  for (let place = order.indexOf(open) + by; order[place]; place += by) {
    if (column(order[place]) === column(open) && row(order[place]) !== row(open)) return showPair(order[place]);
  }
  return undefined;
}

const MOVES = {
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  ArrowUp: () => stepRow(-1),
  ArrowDown: () => stepRow(1),
};

viewer.addEventListener("keydown", (event) => {
  const isRow = event.key === "ArrowUp" || event.key === "ArrowDown";
  if (!(event.key in MOVES) || event.altKey || event.ctrlKey || event.metaKey) return;
  if (isRow && (walk || !TABLES[state.view])) return;
  event.preventDefault();
  MOVES[event.key]();
});
viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
viewer.addEventListener("close", () => { if (walk) revealWorst(open); else if (open) reveal(open); });
byId("viewer-close").addEventListener("click", () => viewer.close());
byId("viewer-previous").addEventListener("click", () => step(-1));
byId("viewer-next").addEventListener("click", () => step(1));

if (data.pairs.length) {
  state.view = hasVariants ? "variants" : data.grid && data.styles.length > 1 ? "grid" : "cards";
  byId("views").hidden = !data.grid && !hasVariants;
  byId("view-grid").hidden = !data.grid;
  byId("view-variants").hidden = !hasVariants;
  document.querySelectorAll("[name=view]").forEach((radio) => {
    radio.checked = radio.value === state.view;
    radio.addEventListener("change", () => change({ view: radio.value }));
  });
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("filter").addEventListener("input", (event) => change({ filter: event.target.value }));
  byId("sort").addEventListener("change", (event) => change({ sort: event.target.value }));
  byId("order").addEventListener("change", (event) => change({ order: event.target.value }));
  byId("flagged").addEventListener("change", (event) => change({ flagged: event.target.checked }));
  offerMeasures();
  showWorst();
  render();
}

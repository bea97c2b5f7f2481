// The strip of the worst pairs of the run, with what is wrong with each.

const worst = (() => {
  const pairs = new Map(data.pairs.map((pair) => [pair.id, pair]));
  return data.worst.map((id) => pairs.get(id)).filter(Boolean);
})();

function showWorst() {
  if (!worst.length) return;
  byId("worst-pictures").append(el("ul", { className: "strip" }, ...worst.map((pair) => {
    const reasons = reasonsOf(pair);
    const lines = reasons.map((reason) => el("span", { className: "detail bad", textContent: reason }));
    const name = `${titleOf(pair)}: ${reasons.join(", ")}`;
    return el("li", {}, opener(pair, { className: "card", name, walk: worst },
      picture(pair.image, "", "result"), about(pair, ...lines)));
  })));
}

/** Gives the focus back to a pair of the strip. */
function revealWorst(pair) {
  const buttons = [...byId("worst-pictures").querySelectorAll("button")];
  buttons.find((one) => one.dataset.pair === pair.id)?.focus();
}

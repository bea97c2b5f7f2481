// A click enlarges a picture; arrow keys go to the neighbours, where others of the row compare.
const viewer = document.getElementById("viewer");
const [title] = viewer.querySelectorAll("p");
const rows = [...document.querySelectorAll(".grid tbody tr")].map((row) => [...row.children]);
let at = [0, 0];

function show(row, column, picture = rows[row]?.[column]?.querySelector("img")) {
  if (!picture) return;
  at = [row, column];
  viewer.querySelector("img").src = picture.src;
  viewer.querySelector("img").alt = title.textContent = picture.alt;
  if (!viewer.open) viewer.showModal();
}

rows.forEach((cells, row) => cells.forEach((cell, column) =>
  cell.querySelectorAll("button").forEach((button) =>
    button.addEventListener("click", () => show(row, column, button.firstElementChild)))));
viewer.addEventListener("click", () => viewer.close());
viewer.addEventListener("keydown", (event) => {
  const [row, column] = at;
  const to = { ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
    ArrowUp: [row - 1, column], ArrowDown: [row + 1, column] }[event.key];
  if (!to) return;
  event.preventDefault();
  show(...to);
});

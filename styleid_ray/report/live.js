// A served page of a run that goes on: it is loaded again when the server has a newer one, but not
// while a picture is being looked at. Without an answer the page stays as it is.
(() => {
  const milliseconds = 5000;
  const version = document.documentElement.dataset.version;
  async function look() {
    try {
      const answer = await fetch("version", { cache: "no-store" });
      const newer = answer.ok && (await answer.text()) !== version;
      if (newer && !document.querySelector("dialog[open]")) location.reload();
    } catch {}
    setTimeout(look, milliseconds);
  }
  setTimeout(look, milliseconds);
})();

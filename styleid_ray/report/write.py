"""From a run to its page."""

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from markupsafe import Markup

from styleid_ray.batch.folder.output import Output
from styleid_ray.batch.folder.tally import Tally
from styleid_ray.errors import OutputError
from styleid_ray.evaluation.published import WARNING
from styleid_ray.report.evaluation import Scores, read_metrics, read_scores
from styleid_ray.report.facts import read_facts, with_other_values
from styleid_ray.report.failures import listed_failures
from styleid_ray.report.gallery import read_gallery
from styleid_ray.report.limits import Gate
from styleid_ray.report.measured import histogram, join
from styleid_ray.report.quality import read_measures
from styleid_ray.storage.locations import shown
from styleid_ray.storage.store import Store
from styleid_ray.webpage import render

REPORT = "report.html"
"""Name of the page in the output."""
_STYLES = ("report.css", "measures.css")
_SCRIPTS = ("gallery.js", "measures.js", "variants.js", "worst.js", "viewer.js")


def write_report(output: Output, sample: int = 2000, to: str | None = None) -> str:
    """Writes `report.html` for a run, finished or not, and returns its path or URL.

    Args:
        output, sample: as of `report_page`; so are the errors.
        to: path or URL of the page; by default `report.html` in the run.
    """
    page = report_page(output, sample, beside=to is None)
    place, name = output, REPORT
    if to is not None:
        place, name = Store.at_file(to, "to", output.storage_options)
    place.write(name, page.encode())
    return f"{place.url}/{name}"


def report_page(
    output: Output, sample: int = 2000, beside: bool = False, version: str | None = None
) -> str:
    """The page of a run, finished or not, as HTML.

    The pictures are embedded as small WebP copies: up to 512 px for at most 200 pairs, 256 px up
    to 1,000, 192 px up to 4,000, 128 px beyond. With 2,000 pairs the page takes about 25 MB.

    Args:
        output: the run.
        sample: the most pairs on the page, at least 1. The page of a larger run shows a sample, the
            same one each time, and says so. If the run crosses (nearly) all contents and styles,
            the sample has whole rows and columns.
        beside: whether the page will lie in the run, so that links to its picture files work.
        version: of a page that is served, which asks its own server for a newer one.

    Raises:
        OutputError: there is no run, or one of its files is damaged.
        ValueError: `sample` is below 1.
    """
    if sample < 1:
        raise ValueError(f"sample must be at least 1, not {sample}")
    record = output.existing_record()
    tally, gate = Tally.read(output), Gate.of(record["config"])
    try:
        quality = read_measures(output, tally.finished & tally.pairs.keys(), gate)
        gallery = read_gallery(output, record, sample, quality.rows)
    except pa.ArrowInvalid as e:
        raise OutputError(
            f"a file of the run at {output.url} is damaged ({shown(str(e))}): styleid-ray verify "
            "names it"
        ) from e
    if not beside:
        gallery["pairs"] = [pair | {"file": None} for pair in gallery["pairs"]]
    metrics = read_metrics(output, tally.done)
    scores = Scores()
    if not metrics.outdated:
        scores = read_scores(output, {pair["id"] for pair in gallery["pairs"]})
    spreads = [spread for spread in [*quality.spreads, *scores.spreads] if spread.count]
    facts = read_facts(output, record, tally)
    facts["params"] = with_other_values(facts["params"], gallery["params"])
    return render(
        "styleid_ray.report",
        "template.html.j2",
        _STYLES,
        _SCRIPTS if version is None else (*_SCRIPTS, "live.js"),
        **facts,
        failed=listed_failures(output, tally.failures),
        metrics=metrics,
        warning=WARNING,
        note=scores.note,
        histograms=[histogram(spread, gate) for spread in spreads],
        quality=quality,
        gate=gate,
        shown=gallery["shown"],
        total=gallery["total"],
        side=gallery["side"],
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=version,
        data=Markup(_embedded_json(join(gallery, quality, scores, gate))),
    )


def _embedded_json(value: Any) -> str:
    """JSON for a script element: ASCII without any character of markup."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text

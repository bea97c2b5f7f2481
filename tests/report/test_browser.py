"""The page in a real browser: Chromium, headless, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from styleid_ray.quality.columns import MEASURES
from styleid_ray.report import write_report
from tests.report.conftest import MakeRun, evaluate, measure, paint

HOSTILE = '"><img src=x onerror=window.hacked=1>.png'
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

NAMELESS = """[...document.querySelectorAll(
    'button, input, select, nav, [role=region], [role=img], [role=group]')].filter(
    (e) => !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')
             || e.textContent.trim() || e.labels?.[0]?.textContent.trim())
).map((e) => e.outerHTML.slice(0, 200))"""
"""Controls and landmarks without an accessible name."""


def _absent(what: str) -> None:
    """Skips the test, or fails it where everything must be tested."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{what} is not installed, and CI tests the page in a browser")
    pytest.skip(f"{what} is not installed: the page is not tested in a browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _absent("the Python package playwright")
        raise
    program = shutil.which("chromium")
    if program is None:
        _absent("Chromium (Debian's package chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def crossed(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of 12 contents, two of them with awkward names, and 12 styles."""
    root = tmp_path_factory.mktemp("crossed")
    names = [f"holiday/photo {i}.png" for i in range(10)] + [HOSTILE, f"{'long' * 30}.png"]
    for number, name in enumerate(names):
        paint(root / "content" / name, number)
    for number in range(12):
        paint(root / "style" / f"painting {number}.png", 20 + number)
    output = make_run(
        str(root / "run"),
        root / "content",
        root / "style",
        failing=("holiday/photo 0.png",),
        message="content {}: <script>window.hacked=1</script>" + "x" * 200,
    )
    return Path(write_report(output))


@pytest.fixture(scope="module")
def paired(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of 60 single pairs."""
    root = tmp_path_factory.mktemp("paired")
    for number in range(60):
        paint(root / "content" / f"photo-{number}.png", number)
        paint(root / "style" / f"painting {60 - number:02}.png", 60 + number)
    output = make_run(str(root / "run"), root / "content", root / "style", pairing="zip")
    return Path(write_report(output))


class Visit:
    """An open page, its requests and its errors."""

    def __init__(self, browser: Any, page: Path, width: int, height: int, scheme: str) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(5000)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(page.as_uri())

    def overflow(self) -> int:
        """Pixels by which the document is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")

    def names(self) -> list[str]:
        """The accessible names of the pairs on the page."""
        return [
            button.get_attribute("aria-label")
            for button in self.page.locator("#pictures button").all()
        ]

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def wait_for_focus(self, name: str) -> None:
        """Returns once the element of that name has the focus; a closed dialog gives it back in a
        task of its own. Fails after some seconds."""
        there = "name => document.activeElement.getAttribute('aria-label') === name"
        self.page.wait_for_function(there, arg=name, timeout=10_000)


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    visits: list[Visit] = []

    def open_(page: Path, width: int = 1280, height: int = 900, scheme: str = "light") -> Visit:
        visits.append(Visit(browser, page, width, height, scheme))
        return visits[-1]

    yield open_
    for one in visits:
        one.context.close()
        assert not one.complaints
        remote = [url for url in one.requests if not url.startswith(("file:", "data:"))]
        assert not remote, "the page asked for something from elsewhere"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (375, 812)])
def test_fits_the_window_in_every_view(
    visit: Any, crossed: Path, width: int, height: int, scheme: str
) -> None:
    there = visit(crossed, width, height, scheme)
    assert there.page.locator("table.grid").is_visible()
    assert there.overflow() == 0
    there.page.get_by_role("radio", name="Cards").check()
    assert there.page.locator("ul.cards").is_visible()
    assert there.overflow() == 0
    there.page.locator("#config summary").click()
    assert there.overflow() == 0
    there.page.locator("#pictures button").first.click()
    box = there.page.locator("dialog").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] + box["height"] <= height
    background = there.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (int(background[4:].split(",")[0]) > 128) == (scheme == "light")


def test_the_grid_has_one_row_per_content_and_one_column_per_style(
    visit: Any, crossed: Path
) -> None:
    there = visit(crossed)
    assert there.page.locator("table.grid tbody tr").count() == 10
    assert there.page.locator("table.grid thead th").count() == 10
    assert there.text("#count") == "132 pairs"
    pages = there.page.locator("nav[aria-label='Styles']")
    assert "Styles 1–10 of 12" in pages.inner_text()
    pages.get_by_role("button", name="Next").click()
    assert there.page.locator("table.grid thead th").count() == 2
    there.page.evaluate(
        "Promise.all([...document.images].map((i) => { i.loading = 'eager'; return i.decode(); }))"
    )


def test_cards_are_paged_and_sorted(visit: Any, paired: Path) -> None:
    there = visit(paired)
    assert there.page.locator("#views").is_hidden(), "single pairs make no grid"
    assert len(there.names()) == 24
    contents = [name.split(" in the style of ")[0] for name in there.names()]
    assert contents[1:3] == ["photo-1.png", "photo-2.png"], "numbers are sorted as numbers"
    seen = there.names()
    following = there.page.get_by_role("button", name="Next").first
    following.click()
    seen += there.names()
    there.page.get_by_role("button", name="Next").first.click()
    seen += there.names()
    assert len(seen) == len(set(seen)) == 60
    assert there.page.get_by_role("button", name="Next").first.is_disabled()
    assert "49–60 of 60" in there.text("nav[aria-label*=above]")
    there.page.locator("#sort").select_option("style")
    assert len(there.names()) == 24
    styles = [name.split(" in the style of ")[1] for name in there.names()]
    assert styles == sorted(styles)


def test_filter_by_file_name(visit: Any, paired: Path) -> None:
    there = visit(paired)
    there.page.get_by_label("Filter by file name").fill("PHOTO-3")
    assert all("photo-3" in name for name in there.names())
    assert there.text("#count") == "11 pairs"
    there.page.get_by_label("Filter by file name").fill("no such thing")
    assert there.names() == []
    assert "No file name matches" in there.text("#pictures")
    there.page.keyboard.press("Enter")
    assert there.text("#count") == "0 pairs"


def test_the_viewer_by_keyboard(visit: Any, crossed: Path) -> None:
    there = visit(crossed)
    names = there.names()
    first = there.page.locator("#pictures button").first
    first.focus()
    there.page.keyboard.press("Enter")
    dialog = there.page.locator("dialog")
    assert dialog.is_visible()
    assert there.text("#viewer-title") == names[0]
    assert dialog.locator("figure img").count() == 3
    assert "4" in there.text("#viewer-facts")
    there.page.keyboard.press("ArrowRight")
    assert there.text("#viewer-title") == names[1]
    assert there.text("#viewer-place") == "2 of 132"
    there.page.keyboard.press("ArrowDown")
    assert there.text("#viewer-title") == names[11], "the same style, one content below"
    there.page.keyboard.press("ArrowUp")
    there.page.keyboard.press("ArrowLeft")
    there.page.keyboard.press("ArrowLeft")
    assert there.text("#viewer-title") == names[0], "it stays at the first"
    there.page.keyboard.press("ArrowRight")
    there.page.keyboard.press("Escape")
    assert not dialog.is_visible()
    there.wait_for_focus(names[1])


def test_closing_the_viewer_turns_to_the_page_of_the_last_pair(visit: Any, paired: Path) -> None:
    there = visit(paired)
    there.page.locator("#pictures button").last.click()
    there.page.keyboard.press("ArrowRight")
    title = there.text("#viewer-title")
    there.page.get_by_role("button", name="Close").click()
    there.wait_for_focus(title)
    assert "25–48 of 60" in there.text("nav[aria-label*=above]")


def test_no_name_is_run_as_markup(visit: Any, crossed: Path) -> None:
    there = visit(crossed)
    there.page.get_by_label("Filter by file name").fill("onerror")
    button = there.page.locator("#pictures button").first
    button.click()
    assert there.text("#viewer-title").startswith(HOSTILE)
    there.page.keyboard.press("Escape")
    there.page.get_by_role("radio", name="Cards").check()
    assert HOSTILE in there.page.locator(".card .name").first.inner_text()
    assert "<script>window.hacked=1" in there.text("#failures tbody tr:first-child")
    assert there.page.evaluate("window.hacked") is None
    assert there.page.locator("img[src=x]").count() == 0


def test_every_picture_and_control_has_a_name(visit: Any, crossed: Path) -> None:
    there = visit(crossed)
    assert there.page.evaluate(NAMELESS) == []
    assert there.page.locator("img:not([alt])").count() == 0
    there.page.locator("#pictures button").first.click()
    alts = [image.get_attribute("alt") for image in there.page.locator("dialog img").all()]
    assert [alt.split(":")[0] for alt in alts] == ["Content", "Style", "Result"]


def test_two_thousand_pairs_open_at_once(visit: Any, make_run: MakeRun, tmp_path: Path) -> None:
    for number in range(50):
        paint(tmp_path / "content" / f"{number}.png", number, 24)
        paint(tmp_path / "style" / f"{number}.png", number + 50, 24)
    output = make_run(
        str(tmp_path / "run"),
        tmp_path / "content",
        tmp_path / "style",
        shard_pairs=2048,
    )
    measure(
        output,
        lambda row: (
            dict.fromkeys(MEASURES, 0.5) | {"structure": int(row["pair_id"][:4], 16) / 65536}
        ),
    )
    there = visit(Path(write_report(output, sample=2000)))
    assert "2,000 of 2,500" in there.text("#sampled")
    assert there.text("#count") == "2,000 pairs"
    assert there.page.evaluate("document.images.length") < 200
    spent = there.page.evaluate(
        "(() => { const t = performance.now(); change({ sort: 'structure' }); "
        "return performance.now() - t; })()"
    )
    assert there.page.locator("#worst button").count() == 12
    assert spent < 1000


@pytest.fixture(scope="module")
def swept(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of 4 contents, 3 styles and 2 values of γ, measured and evaluated.

    Structure grows from pair to pair in the order of names and is best for the weaker γ; the first
    pair is nearly blank, too.
    """
    root = tmp_path_factory.mktemp("swept")
    for number in range(4):
        paint(root / "content" / f"photo {number}.png", number)
    for number in range(3):
        paint(root / "style" / f"painting {number}.png", 20 + number)
    options: dict[str, Any] = {"gamma": "0.3,0.9", "reject": "structure<0.33"}
    output = make_run(str(root / "run"), root / "content", root / "style", **options)

    def place(row: dict[str, Any]) -> int:
        content, style = (int(row[role].split()[1][0]) for role in ("content", "style"))
        return 6 * content + 2 * style + row.get("k", 0)

    measure(
        output,
        lambda row: {
            "color": 0.9 - place(row) / 100,
            "structure": 0.3 + place(row) / 50,
            "edges": 0.5,
            "saturation": 0.25,
            "blank": 0.1 if place(row) else 0.98,
            "sharpness": 1.0,
            "copy": 0.5,
        },
    )
    evaluate(output, lambda row: place(row) / 24, fid=None, missing={"fid": "weights are missing"})
    return Path(write_report(output))


@pytest.mark.parametrize(("width", "height", "scheme"), [(1280, 900, "light"), (375, 812, "dark")])
def test_a_measured_run_fits_the_window(
    visit: Any, swept: Path, width: int, height: int, scheme: str
) -> None:
    there = visit(swept, width, height, scheme)
    for view in ("Variants", "Grid", "Cards"):
        there.page.get_by_role("radio", name=view).check()
        there.page.locator("#sort").select_option("structure")
        assert there.overflow() == 0
    assert there.page.evaluate(NAMELESS) == []
    assert there.page.locator(".histograms svg").count() == 11
    there.page.get_by_text("Not computed: FID").click()
    assert there.text("#missing li") == "FID: weights are missing"
    assert there.overflow() == 0
    there.page.locator("#worst button").first.click()
    box = there.page.locator("dialog").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


def test_variants_stand_side_by_side_with_their_measures(visit: Any, swept: Path) -> None:
    there = visit(swept)
    heads = there.page.locator("table.variants thead th").all_inner_texts()
    assert [head.split()[:2] for head in heads] == [["γ", "0.3"], ["γ", "0.9"]]
    assert "structure\n0.52" in heads[0], "the mean of 12 pairs"
    cell = there.page.locator("table.variants tbody td").first
    assert "structure\n0.30" in cell.inner_text()
    assert there.page.locator("table.variants tbody tr").count() == 10
    name = there.page.locator("table.variants button").nth(1).get_attribute("aria-label")
    assert name.endswith("γ 0.9")
    there.page.locator("table.variants button").nth(1).click()
    there.page.keyboard.press("ArrowDown")
    assert there.text("#viewer-place") == "4 of 24", "the same γ, one style below"


def test_the_grid_and_the_cards_are_sorted_by_a_measure(visit: Any, swept: Path) -> None:
    there = visit(swept)
    there.page.get_by_role("radio", name="Grid").check()
    there.page.get_by_label("Sort by").select_option("structure")
    assert there.names()[0].startswith("photo 0.png in the style of painting 0.png")
    assert there.names()[0].endswith(", structure 0.30")
    there.page.locator("#order").select_option("last")
    assert there.names()[0].startswith("photo 3.png in the style of painting 2.png")
    there.page.get_by_role("radio", name="Cards").check()
    values = [float(name.rsplit(" ", 1)[1]) for name in there.names()]
    assert values == sorted(values, reverse=True)
    there.page.get_by_label("Sort by").select_option("histogram_loss")
    assert there.page.locator("#order option").first.inner_text() == "worst first"
    values = [float(name.rsplit(" ", 1)[1]) for name in there.names()]
    assert values == sorted(values), "less of it is better"
    there.page.get_by_label("Sort by").select_option("saturation")
    assert there.page.locator("#order option").first.inner_text() == "lowest first"
    there.page.get_by_label("beyond a limit").check()
    assert there.text("#count") == "2 pairs"


def test_the_strip_of_the_worst_by_keyboard(visit: Any, swept: Path) -> None:
    there = visit(swept)
    names = [one.get_attribute("aria-label") for one in there.page.locator("#worst button").all()]
    assert names == [
        "photo 0.png in the style of painting 0.png: little structure kept: 0.30, "
        "nearly blank: 0.98",
        "photo 0.png in the style of painting 0.png (2): little structure kept: 0.32",
    ]
    there.page.locator("#worst button").first.focus()
    there.page.keyboard.press("Enter")
    assert there.text("#viewer-place") == "1 of 2"
    assert "nearly blank: 0.98" in there.text("#viewer-reasons")
    assert there.page.locator("#viewer-measures .bad").all_inner_texts() == [
        "structure\n0.300",
        "blank\n0.980",
    ]
    there.page.keyboard.press("ArrowDown")
    there.page.keyboard.press("ArrowRight")
    assert there.text("#viewer-place") == "2 of 2"
    there.page.keyboard.press("Escape")
    there.wait_for_focus(names[1])

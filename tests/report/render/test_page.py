"""The pages of reports, as a browser shows them on a phone and on a desk, by day and by night."""

from __future__ import annotations

import csv
import gzip
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from pipeline.report.render.arm_plots import memory_parts_plot
from pipeline.report.render.climb_plot import MOST_DRAWN, climb_plot
from pipeline.report.render.devices_page import devices_page
from pipeline.report.render.downloads import downloads
from pipeline.report.render.html import report_page
from pipeline.report.schema import Report
from tests.report.builder import metric
from tests.report.lifelike import lifelike
from tests.report.several import failed, several, well

CLIMBS = "#climb ~ .panels >> nth=0 >> svg >> visible=true"
#: A browser is waited for so long: the machine may have much else to do.
PATIENCE_MS = 300_000
PAGES = ("report", "devices")
WIDTHS = (360, 1200)
Theme = Literal["light", "dark"]
THEMES = get_args(Theme)
#: Debian's, then what other systems call theirs.
BROWSERS = ("chromium", "google-chrome")

#: What is wrong with elements that have text of their own on the screen.
FAULTS = """
() => {
  const parts = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number);
  const luminance = (color) => {
    const linear = parts(color).slice(0, 3).map((each) => {
      const share = each / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = parts(getComputedStyle(each).backgroundColor);
      if (color.length === 3 || color[3] === 1) return getComputedStyle(each).backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  const faults = [];
  let looked = 0;
  for (const element of document.querySelectorAll("body *:not(script)")) {
    const told = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const box = element.getBoundingClientRect();
    if (!told || box.width === 0) continue;
    looked += 1;
    const style = getComputedStyle(element);
    const drawn = element.closest("svg");
    const scale = drawn ? Math.hypot(element.getScreenCTM().c, element.getScreenCTM().d) : 1;
    const size = parseFloat(style.fontSize) * scale;
    const [light, dark] = [luminance(drawn ? style.fill : style.color), luminance(ground(element))];
    const contrast = (Math.max(light, dark) + 0.05) / (Math.min(light, dark) + 0.05);
    const text = element.textContent.trim().slice(0, 40);
    if (size < 9.9) faults.push(`${size} px: ${text}`);
    if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(1)}: ${text}`);
    const edges = drawn?.getBoundingClientRect();
    if (edges && (box.left < edges.left - 1 || box.right > edges.right + 1)) {
      faults.push(`cut off: ${text}`);
    }
  }
  if (looked < 50) faults.push(`only ${looked} texts are on the screen`);
  return faults;
}
"""
OPEN = "document.querySelectorAll('details').forEach((each) => { each.open = true; })"
#: What a keyboard has to reach, whatever does something and what scrolls; and what of it was not.
REACHABLE = """
() => document.addEventListener("focusin", (event) => { event.target.wanted = false; }) ||
[...document.querySelectorAll("a, summary, figure svg, .wide, pre")]
  .filter((each) => each.getClientRects().length && each.getBoundingClientRect().width)
  .map((each) => { each.wanted = true; }).length
"""

LEFT = "() => [...document.querySelectorAll('*')].filter((e) => e.wanted).map((e) => e.outerHTML)"


@pytest.fixture(scope="module")
def report() -> Report:
    return lifelike(more_arms=["teacher8", "a_chain_of_units"])


@pytest.fixture(scope="module")
def folder(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """report.html and devices.html."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "report.html").write_text(report_page(report))
    devices = [well("one"), failed("other"), well("x" * 70)]
    (folder / "devices.html").write_text(devices_page(several(devices)))
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("not here: a browser (apt-get install chromium)")
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, timeout=PATIENCE_MS)
        yield started
        started.close()


class Watched:
    """A page in the browser, and what it said and asked for since it was opened."""

    def __init__(self, browser: Browser, path: Path, **context: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page: Page = browser.new_page(**context)
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.page.evaluate(OPEN)

    def on(self, width: int, theme: Theme = "light") -> Page:
        """The page on a screen so wide, with nothing in focus and no pointer on it."""
        self.page.set_viewport_size({"width": width, "height": 740})
        self.page.emulate_media(color_scheme=theme)
        self.page.mouse.move(0, 0)
        self.page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
        return self.page


@pytest.fixture(scope="module")
def opened(browser: Browser, folder: Path) -> dict[str, Watched]:
    """Each page, opened once."""
    return {name: Watched(browser, folder / f"{name}.html") for name in PAGES}


@pytest.fixture
def phone(opened: dict[str, Watched]) -> Page:
    """The page of a report on a phone."""
    return opened["report"].on(360)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_it_can_be_read_and_says_and_asks_for_nothing(
    name: str, width: int, theme: Theme, opened: dict[str, Watched], folder: Path
) -> None:
    page = opened[name].on(width, theme)
    assert page.evaluate(FAULTS) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (color == "rgb(255, 255, 255)") == (theme == "light")
    assert opened[name].said == []
    assert opened[name].asked == [(folder / f"{name}.html").as_uri()]


def test_it_may_load_nothing_even_if_something_in_it_asks_to(phone: Page) -> None:
    """A browser refuses before it asks for anything."""
    refused = phone.evaluate(
        """() => new Promise((tell) => {
          document.addEventListener("securitypolicyviolation", (event) => tell(event.blockedURI));
          document.body.appendChild(new Image()).src = "http://127.0.0.1:9/pixel.png";
        })"""
    )
    assert refused == "http://127.0.0.1:9/pixel.png"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_climb_is_drawn_once_for_each_width(width: int, opened: dict[str, Watched]) -> None:
    shown = opened["report"].on(width).locator(CLIMBS)
    boxes = [each.bounding_box() for each in shown.all()]
    assert len(boxes) == 3
    assert all(box and box["width"] > 0.8 * width for box in boxes)


def test_the_verdict_and_four_figures_are_what_a_phone_shows_first(phone: Page) -> None:
    assert "Loading progressively pays here" in phone.locator(".verdict").inner_text()
    tiles = phone.locator(".tiles li")
    assert tiles.locator("b").all_inner_texts() == ["10.0 ms", "536.1 ms", "85.0 MB", "9.9 MB"]
    first, final = (tiles.nth(n).locator(".than span").all_inner_texts() for n in (0, 1))
    assert first[:6] == ["-", "1.25×", "student", "+", "0.02×", "teacher"]
    assert len(first) == 12
    assert final[::3] == ["-"] * 3
    box = tiles.last.bounding_box()
    assert box
    assert box["y"] + box["height"] < 740


def test_a_mark_says_its_value_under_a_pointer(phone: Page) -> None:
    plot = phone.locator("figure svg").first
    plot.scroll_into_view_if_needed()
    box = plot.locator("use").last.bounding_box()
    assert box
    phone.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tip = phone.locator("#tip")
    assert "stage 3, TTT: first answer after 536.1 ms" in tip.inner_text()
    shown = tip.bounding_box()
    assert shown
    assert shown["x"] >= 0
    assert shown["x"] + shown["width"] <= 360
    phone.mouse.move(1, 1)
    assert not tip.is_visible()


def test_arrow_keys_step_through_a_climb_in_the_order_of_time(phone: Page) -> None:
    plot = phone.locator(CLIMBS).first
    phone.keyboard.press("Tab")  # what a keyboard brought into focus shows it
    plot.focus()
    tip, told = phone.locator("#tip"), []
    for _ in range(60):
        told.append(tip.inner_text())
        phone.keyboard.press("ArrowRight")
    numbers = [int(found[1]) for text in told if (found := re.match(r"inference (\d+)", text))]
    assert numbers == [*range(len(numbers))]
    assert len(numbers) > 50
    assert any("inference 40 on stage 1 (first after a swap): 12.0 ms" in text for text in told)
    assert any("stage 1, TSS: 1 B load" in text for text in told)
    assert any("swap to stage 1, TSS, 90.0% accurate" in text for text in told)
    phone.keyboard.press("Escape")
    assert not tip.is_visible()


@pytest.mark.parametrize("name", PAGES)
def test_a_keyboard_reaches_everything(name: str, opened: dict[str, Watched]) -> None:
    page = opened[name].on(360)
    wanted = page.evaluate(REACHABLE)
    assert wanted > 5
    for _ in range(wanted + 2):  # from wherever it was before, round the end of the page
        page.keyboard.press("Tab")
    assert page.evaluate(LEFT) == []


def saved(page: Page, name: str) -> bytes:
    with page.expect_download() as started:
        page.get_by_role("link", name=name).click()
    return Path(started.value.path()).read_bytes()


def test_raw_data_can_be_saved_from_it(phone: Page, report: Report) -> None:
    assert saved(phone, "report.json") == report.to_json().encode()
    rows = [*csv.DictReader(io.StringIO(saved(phone, "metrics.csv").decode()))]
    assert {row["metric"]: float(row["median"]) for row in rows} == {
        name: metric.median for name, metric in report.metrics.items()
    }


def test_without_a_script_values_and_data_are_still_there(
    browser: Browser, folder: Path, report: Report
) -> None:
    page = Watched(browser, folder / "report.html", java_script_enabled=False).page
    titles = page.locator("figure svg title").all_text_contents()
    assert any("stage 3, TTT: first answer after 536.1 ms" in title for title in titles)
    assert gzip.decompress(saved(page, "report.json")) == report.to_json().encode()
    page.close()


def test_the_same_report_gives_the_same_page(folder: Path, report: Report) -> None:
    page = (folder / "report.html").read_text()
    for panel in climb_plot(report).panels:
        assert panel.svg in page
        assert panel.wide in page
    for file in downloads(report):
        assert file.address in page


def test_late_answers_and_frames_without_one_are_marked(report: Report) -> None:
    *others, served = climb_plot(report).panels
    assert served.title == "Warm start, 200 frames a second"
    # The first inference on stage 3 takes 12 ms: of two frames that come, the newer is answered.
    late = "inference 120 on stage 3 (late: the next frame had come): 12.0 ms"
    (begin,) = re.findall(rf"{re.escape(late)}, begun after ([0-9.]+) ms", served.svg)
    one, other = (f"came after {float(begin) + ms:.1f} ms and was never answered" for ms in (5, 10))
    for svg in (served.svg, served.wide):
        assert one in svg
        assert other not in svg
    assert not any("late: the" in panel.svg or "never" in panel.svg for panel in others)


def test_a_long_climb_stays_small_and_keeps_what_matters() -> None:
    panels = climb_plot(lifelike(inferences=400)).panels
    assert len(panels) == 3
    for panel in panels:
        (drawn,) = re.findall(r"(\d+) of 1600 inferences are drawn", panel.note)
        assert MOST_DRAWN / 6 < int(drawn) <= MOST_DRAWN / 3
        for svg in (panel.svg, panel.wide):
            assert svg.count("inference ") == int(drawn)
            assert len(svg) < 150_000
            for first in (400, 800, 1200):
                assert f"inference {first} on stage" in svg


def test_what_memory_is_made_of_is_drawn_where_the_device_says_it(report: Report) -> None:
    assert memory_parts_plot(report) is None
    told = {
        f"peak_part_mb.{arm}.{part}": metric([size] * 3, "MB")
        for arm in ("pwl", "student")
        for part, size in {"weights": 20, "workspaces": 4, "mappings": 8, "rest": -0.1}.items()
    }
    plot = memory_parts_plot(report.model_copy(update={"metrics": report.metrics | told}))
    assert plot
    assert [key.words for key in plot.legend] == ["weights", "workspaces", "mappings", "rest"]
    (panel,) = plot.panels
    assert ">progressive, weights: 20.0 MB [20.0-20.0]<" in panel.svg
    assert ">student alone, rest: -0.1 MB [-0.1--0.1]<" in panel.svg
    assert "teacher" not in panel.svg


def test_samples_that_are_too_many_for_the_page_lie_beside_it(monkeypatch: Any) -> None:
    monkeypatch.setattr("pipeline.report.render.downloads.MOST_HELD", 1000)
    samples, metrics = downloads(lifelike())
    assert (samples.address, samples.held) == ("report.json", False)
    assert metrics.held

"""The page in a real browser: opens quietly, sorts, changes its theme, prints; hostile names do nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reports.page.style import DARK, LIGHT
from reports.report import write_report
from tests.reports.page.runs import HOSTILE, KINDS, made

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium"
)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

UNDRAWN = "[...document.querySelectorAll('[data-figure]')].filter(c => !c.querySelector('.main-svg')).length"
INK = "getComputedStyle(document.querySelector('[data-figure] .xtick text, [data-figure] .ytick text')).fill"
GROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of a run of each task, with hostile names everywhere."""
    found = {}
    for kind in KINDS:
        run = made(tmp_path_factory.mktemp(kind) / "run", kind)
        write_report(run)
        found[kind] = run.path / "report.html"
    return found


class Opened:
    """A page, and everything that it did which it should not."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.incidents: list[str] = []
        self.page.on("console", lambda m: self.incidents.append(f"{m.type}: {m.text}"))
        self.page.on("pageerror", lambda error: self.incidents.append(f"error: {error}"))
        self.page.on("dialog", self._dialog)
        self.page.on("request", self._request)
        self.page.goto(path.as_uri())

    def _dialog(self, dialog: Any) -> None:
        self.incidents.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "blob:", "data:")):
            self.incidents.append(f"request: {request.url}")

    def draw_all(self) -> None:
        """Make the window so high that everything is in sight, and drawn."""
        width = self.page.viewport_size["width"]
        self.page.wait_for_selector("html[data-ready]")
        self.page.set_viewport_size({"width": width, "height": 20_000})
        self.wait_for(f"{UNDRAWN} === 0")

    def wait_for(self, condition: str) -> None:
        """Ask until it is so; the page's policy forbids to compile the question within the page."""
        for _ in range(400):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never came true: {condition}")

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


@pytest.mark.parametrize("kind", KINDS)
def test_it_opens_quietly_and_draws_everything(browser: Any, pages: dict[str, Path], kind: str) -> None:
    with Opened(browser, pages[kind], viewport={"width": 1280, "height": 900}) as opened:
        opened.draw_all()
        page = opened.page
        assert opened.incidents == []
        assert page.evaluate(UNDRAWN) == 0 and "could not be drawn" not in page.inner_text("main")
        assert page.evaluate("document.querySelectorAll('main img, main b, main script').length") == 0
        drawn = page.evaluate(
            "[...document.querySelectorAll('.main-svg text')].map((t) => t.textContent).join('\\n')"
        )
        assert "</script><script>" in drawn or kind == "regression"  # shown as what it is


def column(page: Any, place: int) -> list[str]:
    found = page.evaluate(
        "(i) => [...document.querySelector('#leaderboard-table').tBodies[0].rows]"
        ".map((row) => row.cells[i].textContent)",
        place,
    )
    return [str(value) for value in found]


def test_the_leaderboard_sorts_by_click_and_by_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["binary"]) as opened:
        page = opened.page
        heads = [h.strip() for h in page.locator("#leaderboard-table thead th").all_inner_texts()]
        score, status = heads.index("score"), heads.index("status")
        page.get_by_role("button", name="score", exact=True).click()
        values = column(page, score)
        numbers = [float(value) for value in values if value]
        assert numbers == sorted(numbers) and len(numbers) > 8
        assert values[len(numbers) :] == [""] * (len(values) - len(numbers))  # nothing comes last
        head = page.locator("#leaderboard-table thead th")
        assert head.nth(score).get_attribute("aria-sort") == "ascending"
        page.locator("#leaderboard-table thead button").nth(status).focus()
        page.keyboard.press("Enter")
        assert column(page, status) == sorted(column(page, status))
        assert head.nth(score).get_attribute("aria-sort") is None
        page.keyboard.press("Space")
        assert column(page, status) == sorted(column(page, status), reverse=True)
        assert head.nth(status).get_attribute("aria-sort") == "descending"
        assert page.inner_text("#sort-status") == "Sorted by status, falling"
        assert opened.incidents == []


def test_every_control_is_reached_by_the_tab_key(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["binary"]) as opened:
        opened.page.keyboard.press("Tab")
        assert opened.page.evaluate("document.activeElement.className") == "skip"
        reached = set()
        for _ in range(40):
            opened.page.keyboard.press("Tab")
            reached.add(opened.page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        assert {"A", "theme", "BUTTON", "DIV"} <= reached


def rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


def test_the_theme_is_the_system_s_until_it_is_chosen(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["binary"], color_scheme="dark") as opened:
        opened.draw_all()
        page = opened.page
        assert page.evaluate(GROUND) == rgb(DARK["paper"]) and page.evaluate(INK) == rgb(DARK["ink"])
        page.locator("#theme").focus()
        page.keyboard.press("Enter")
        assert page.evaluate(GROUND) == rgb(LIGHT["paper"]) and page.evaluate(INK) == rgb(LIGHT["ink"])
        assert page.locator("#theme").get_attribute("aria-pressed") == "false"
        page.locator("#theme").click()
        assert page.evaluate(GROUND) == rgb(DARK["paper"]) and page.evaluate(INK) == rgb(DARK["ink"])
        assert opened.incidents == []


def test_it_prints_light_and_whole(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["regression"], color_scheme="dark") as opened:
        page = opened.page
        page.wait_for_selector("html[data-ready]")
        page.emulate_media(media="print", color_scheme="dark")
        opened.wait_for(f"{UNDRAWN} === 0")  # also what was never scrolled to
        assert page.evaluate(GROUND) == rgb(LIGHT["paper"]) and page.evaluate(INK) == rgb(LIGHT["ink"])
        widest = page.evaluate(
            "Math.max(...[...document.querySelectorAll('.main-svg')].map(s => s.clientWidth))"
        )
        assert 300 < widest <= 680  # the width of the paper
        printed = page.pdf(format="A4")
        assert printed.startswith(b"%PDF") and len(printed) > 50_000
        page.emulate_media(media="screen", color_scheme="dark")
        opened.wait_for(f"{INK} === '{rgb(DARK['ink'])}'")
        assert opened.incidents == []


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_never_scrolls_sideways(browser: Any, pages: dict[str, Path], width: int) -> None:
    with Opened(browser, pages["multiclass"], viewport={"width": width, "height": 800}) as opened:
        opened.draw_all()
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_scripts_the_numbers_are_there(browser: Any, pages: dict[str, Path]) -> None:
    with Opened(browser, pages["binary"], java_script_enabled=False) as opened:
        assert "Without scripts" in opened.page.inner_text("main")
        opened.page.locator("#importance summary").click()
        assert HOSTILE in opened.page.inner_text("#importance table")


def test_markup_that_was_not_escaped_would_not_run(
    browser: Any, pages: dict[str, Path], tmp_path: Path
) -> None:
    """The second lock holds alone: a script and a handler put into the page by force do nothing."""
    attack = "<script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)>"
    forced = tmp_path / "forced.html"
    page = pages["binary"].read_text(encoding="utf-8")
    forced.write_text(page.replace("<h1>", f"{attack}<h1>", 1), encoding="utf-8")
    with Opened(browser, forced) as opened:
        opened.page.wait_for_selector("html[data-ready]")
        assert not [incident for incident in opened.incidents if incident.startswith("dialog")]
        assert any("Content Security Policy" in incident for incident in opened.incidents)

"""The page is one file without network, in the promised order, and nothing from data is markup."""

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reports.page.document import digest, plotly
from reports.report import write_report
from tests.reports.page.runs import HOSTILE, KINDS, QUOTED, made

ORDER = [
    "verdict", "leaderboard", "history", "ensemble", "accounts", "task", "curves", "search", "importance",
    "data", "reproduce",
]  # fmt: skip


class Reader(HTMLParser):
    """What a browser would find: elements, attributes, texts of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._script: dict[str, str | None] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self._script = dict(attrs)

    def handle_endtag(self, tag: str) -> None:
        self._script = None if tag == "script" else self._script

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts.append((self._script, data))


def page_of(path: Path, kind: str = "binary", **options: bool) -> str:
    run = made(path / "run", kind, **options)
    write_report(run)
    return (run.path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_every_task_has_a_page_in_the_promised_order(tmp_path: Path, kind: str) -> None:
    page = page_of(tmp_path, kind)
    found = [a["id"] for tag, a in Reader(page).elements if tag == "section"]
    assert found == ORDER and len(page.encode()) < 6e6


def test_a_run_from_before_the_page_says_what_is_missing(tmp_path: Path) -> None:
    page = page_of(tmp_path, has_evidence=False)
    assert "does not hold its targets" in page and "not computed for this run" in page
    assert "were not stored in this run" in page and page.count("<section") == len(ORDER)


def test_nothing_from_data_is_an_element_or_an_attribute(tmp_path: Path) -> None:
    """Hostile names are in every place that data reaches; the elements are those of a harmless run."""
    reader = Reader(page_of(tmp_path))
    assert len(reader.scripts) == len([t for t, _ in reader.elements if t == "script"]) == 3
    assert not [t for t, _ in reader.elements if t in ("img", "svg", "b", "iframe", "object", "link")]
    assert not [a for _, attributes in reader.elements for a in attributes if a.startswith("on")]
    assert not [
        a for _, a in reader.elements if {"src", "href"} & set(a) and not str(a.get("href")).startswith("#")
    ]


def test_figures_escape_what_plotly_would_read(tmp_path: Path) -> None:
    reader = Reader(page_of(tmp_path))
    raw = next(text for attributes, text in reader.scripts if attributes.get("id") == "figures")
    assert "<" not in raw and ">" not in raw and "&" not in raw
    drawn = json.dumps(json.loads(raw))
    assert HOSTILE not in drawn and QUOTED.replace('"', '\\"') not in drawn and "<script" not in drawn
    assert "&lt;/script&gt;" in drawn and "%{x} $y$" not in drawn


def test_only_the_page_s_own_scripts_may_run(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    reader = Reader(page)
    policy = next(a["content"] for t, a in reader.elements if t == "meta" and a.get("http-equiv"))
    assert policy is not None and "default-src 'none'" in policy and "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in re.search(r"script-src[^;]*", policy)[0]  # type: ignore[index]
    own = next(text for attributes, text in reader.scripts if not attributes)
    packed = next(text for attributes, text in reader.scripts if attributes.get("id") == "plotly")
    unpacked = gzip.decompress(base64.b64decode(packed))
    assert digest(own) in policy and digest(unpacked.decode()) in policy
    assert digest("a") == "sha256-" + base64.b64encode(hashlib.sha256(b"a").digest()).decode()


def test_plotly_is_packed_the_same_each_time() -> None:
    first = plotly()
    plotly.cache_clear()
    assert plotly() == first and len(first[0]) < 2.5e6


def test_json_and_markdown_say_the_same(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    md, js = write_report(run)
    facts, text = json.loads(js.read_text(encoding="utf-8")), md.read_text(encoding="utf-8")
    for key in (
        "warnings",
        "history",
        "members",
        "waterfalls",
        "outcomes",
        "curves",
        "search",
        "importance",
        "columns",
    ):
        assert facts[key], key
    assert facts["reproduce"]["hashes"]["space"] and facts["reproduce"]["hardware"]["n_cores"] == 2
    titles = (
        "Before you believe it",
        "Permutation importance",
        "From printed to honest",
        "The search",
        "Learning curves",
    )
    for title in titles:
        assert f"\n## {title}\n" in text
    assert f"`{HOSTILE}`" in text and re.search(
        r"ensemble: printed 0.52; epoch \+0.02, together \+0.01; honest 0.55", text
    )

"""Comparisons: one data set, several, what is refused, and a page that nothing from data can break."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from reports.compare import Comparison, compare
from reports.compare_page import cell, compare_page
from reports.entrants import CompareError
from tests.reports.runs import finished


@pytest.fixture
def across(tmp_path: Path) -> Comparison:
    """Three labels on seven data sets, the first best everywhere."""
    runs = []
    for i in range(7):
        for j, (sampler, noise) in enumerate((("tpe", 0.2), ("random", 1.5), ("grid", 3.0))):
            place = tmp_path / f"d{i}-{sampler}"
            runs.append(
                finished(place, data=f"d{i}", noise=noise, seed=10 * i + j, config={"sampler": sampler})
            )
    return compare(runs, n_draws=200)


def test_one_data_set(tmp_path: Path) -> None:
    runs = [finished(tmp_path / "good", noise=0.2), finished(tmp_path / "bad", noise=3.0, seed=1)]
    found = compare(runs, n_draws=300)
    assert found.diagram is None and set(found.tables) == {"runs", "pairs"}
    assert (
        found.sentences[0].startswith("On table, good beats bad by 0.")
        and "more than noise" in found.sentences[0]
    )
    pair = found.pairs.iloc[0]
    assert (pair["first"], pair["second"], pair["of"], pair["tests"]) == (
        "good",
        "bad",
        "ensemble",
        "folds and rows",
    )
    assert found.runs["score"].is_monotonic_increasing
    again = compare(runs, n_draws=300)
    pd.testing.assert_frame_equal(found.pairs, again.pairs)  # the same seed, the same draws


def test_no_difference_is_said(tmp_path: Path) -> None:
    found = compare([finished(tmp_path / "a"), finished(tmp_path / "b")], n_draws=200)
    assert any("looked at the same rows once more" in note for note in found.notes)
    assert found.sentences == ("On table, the difference between ensembles does not survive noise.",)


def test_records_that_allow_no_test_are_said(tmp_path: Path) -> None:
    runs = [finished(tmp_path / str(i), has_targets=False, split_seed=i, seed=i) for i in range(2)]
    found = compare(runs)
    assert found.sentences == ("On table, not tested, as their records do not allow it: 0 and 1.",)
    assert any("no stored targets" in note for note in found.notes)
    assert found.pairs["p"].isna().all() and found.pairs["difference"].notna().all()


def test_many_data_sets(across: Comparison) -> None:
    assert across.ranks is not None and across.tests is not None and across.friedman is not None
    assert across.ranks["label"].tolist() == ["tpe", "random", "grid"]
    assert across.ranks["mean_rank"].tolist() == [1.0, 2.0, 3.0]
    assert across.tests["survives"].all() and across.friedman.p_f < 0.001
    assert across.tests["p_holm"].tolist() == pytest.approx(
        [3 / 64] * 3
    )  # 2 / 2**7 of seven sets, three pairs
    assert across.diagram is not None and "tpe" in across.diagram
    assert any("tpe is better than grid over data sets" in text for text in across.sentences)
    assert across.scores is not None and across.scores.shape == (7, 4)


def test_a_data_set_without_every_label_is_left_out(tmp_path: Path) -> None:
    runs = [
        finished(tmp_path / f"{d}-{s}", data=d, seed=i, config={"sampler": s})
        for i, (d, s) in enumerate((d, s) for d in ("x", "y", "z") for s in ("tpe", "random"))
    ]
    found = compare(runs[:-1], n_draws=200)
    assert found.scores is not None and found.scores["data"].tolist() == ["x", "y"]
    assert "Not ranked, as not every label has a run there: z." in found.notes
    assert any("needs 6 or more" in text for text in found.sentences)


def test_runs_of_one_label_are_averaged(tmp_path: Path) -> None:
    runs = [
        finished(tmp_path / f"{d}-{s}-{i}", data=d, noise=0.5 + i, seed=i, config={"sampler": s})
        for d in ("x", "y") for s in ("tpe", "random") for i in range(2)
    ]  # fmt: skip
    found = compare(runs, label=["sampler"], n_draws=200)
    assert found.scores is not None
    own = found.runs[(found.runs["data"] == "x") & (found.runs["label"] == "tpe")]["score"].mean()
    assert found.scores.set_index("data").loc["x", "tpe"] == pytest.approx(own)


def test_what_shares_nothing_is_refused_with_what_differs(tmp_path: Path) -> None:
    runs = [finished(tmp_path / "a", data="one"), finished(tmp_path / "b", data="two")]
    with pytest.raises(CompareError, match=r"a on one \(source .*\), b on two"):
        compare(runs)


def test_other_columns_of_one_table_are_one_data_set(tmp_path: Path) -> None:
    runs = [finished(tmp_path / "a"), finished(tmp_path / "b", source="without a column", noise=2.0, seed=1)]
    found = compare(runs, n_draws=200)
    assert found.pairs["tests"].tolist() == ["folds and rows"] * 2
    assert any("other columns" in note for note in found.notes)


def test_json_is_strict(across: Comparison) -> None:
    text = json.dumps(across.to_json(), allow_nan=False)
    assert set(json.loads(text)) == {
        "sentences", "notes", "runs", "pairs", "scores", "ranks", "tests", "friedman",
    }  # fmt: skip


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href")]


def test_the_page_stands_alone_and_is_escaped(tmp_path: Path) -> None:
    places = [(d, s) for d in ("<script>x</script>", "y") for s in ("<img src=1>", "'b\"&")]
    runs = [
        finished(tmp_path / str(i), data=d, seed=i, config={"sampler": s}) for i, (d, s) in enumerate(places)
    ]
    page = compare_page(compare(runs, n_draws=200), title="<b>")
    seen = _Seen()
    seen.feed(page)
    assert not {"script", "img", "link", "iframe", "b"} & set(seen.tags) and seen.links == []
    assert "&lt;script&gt;x&lt;/script&gt;" in page and "prefers-color-scheme: dark" in page
    assert seen.tags.count("table") == 5 and "svg" in seen.tags


def test_cells() -> None:
    assert [cell(v) for v in (None, float("nan"), True, False, 0.123456, 7, "x")] == [
        "", "", "yes", "no", "0.1235", "7", "x",
    ]  # fmt: skip

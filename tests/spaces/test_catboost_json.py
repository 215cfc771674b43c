"""CatBoost's JSON by hand: every kind of question, and every kind of statistic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spaces.catboost_json import oblivious
from spaces.oblivious import checked_oblivious, hashed

HASHES = {"0": 5, "1": 2**32 - 7, "2": 9}  # of the slots, as 32 bits without a sign
WIDE = {"0": 5, "1": 2**64 - 7, "2": 9}
KEYS = {slot: int(hashed([np.array([value], np.uint64)], 1)[0]) for slot, value in WIDE.items()}
X = np.array([[0.0, 0], [1.0, 1], [np.nan, 2], [1.0, 7]], np.float32)


def model(kind: str, counts: list[list[int]], border: float = 0.45, **changes: Any) -> dict[str, Any]:
    """One tree of one level per question: a number, a slot, and a statistic of the slots 0 and 1."""
    flat: list[Any] = []
    for slot, values in zip(("1", "0"), reversed(counts), strict=True):
        flat += [str(KEYS[slot]), *values]
    element = {"cat_feature_index": 0, "combination_element": "cat_feature_value"}
    statistic = {
        "borders": [0.1, border], "ctr_type": kind, "elements": [element], "identifier": "table",
        "prior_numerator": 0.5, "prior_denomerator": 1, "shift": 0, "scale": 1, "target_border_idx": 0,
        **changes,
    }  # fmt: skip
    splits: list[dict[str, Any]] = [
        {"split_type": "FloatFeature", "float_feature_index": 0, "border": 0.5, "split_index": 0},
        {"split_type": "OneHotFeature", "cat_feature_index": 0, "value": -7, "split_index": 1},
        {"split_type": "OnlineCtr", "border": border, "split_index": 3},
    ]
    return {
        "scale_and_bias": [2, [0.25]],
        "oblivious_trees": [{"splits": splits, "leaf_values": [float(k) for k in range(8)]}],
        "features_info": {
            "float_features": [{"borders": [0.5], "nan_value_treatment": "AsTrue"}],
            "categorical_features": [{"values": [-7]}],
            "ctrs": [statistic],
            "cat_features_hash": [{"value": slot, "hash": value} for slot, value in HASHES.items()],
        },
        "ctr_data": {
            "table": {
                "hash_map": [str(2**64 - 1), *[0] * len(counts[0]), *flat],
                "hash_stride": 1 + len(counts[0]),
                "counter_denominator": 10,
            }
        },
    }


@pytest.mark.parametrize(
    ("kind", "counts", "changes", "above"),
    [
        # (0 + 0.5) / 11, (9 + 0.5) / 11; unknown: 0.5 / 11
        ("Counter", [[0], [9]], {}, [False, True, False, False]),
        ("FeatureFreq", [[9], [0]], {}, [True, False, False, False]),
        # good of (2, 6) is 6: 6.5 / 9; of (6, 2) 2.5 / 9; unknown 0.5 / 1
        ("Borders", [[2, 6], [6, 2]], {}, [True, False, True, True]),
        ("Borders", [[1, 6, 6], [1, 6, 0]], {"target_border_idx": 1}, [True, False, True, True]),
        ("Buckets", [[2, 6], [6, 2]], {}, [False, True, True, True]),
        ("BinarizedTargetMeanValue", [[6, 8], [1, 8]], {}, [True, False, True, True]),
        ("Borders", [[2, 6], [6, 2]], {"prior_numerator": 0}, [True, False, False, False]),
        ("Borders", [[2, 6], [6, 2]], {"scale": 15, "shift": -1}, [False] * 4),
    ],
)
def test_every_kind_by_hand(kind: str, counts: Any, changes: dict[str, Any], above: list[bool]) -> None:
    found = oblivious(model(kind, counts, **changes), (0, 3))
    number, slot = [False, True, True, True], [False, True, False, False]
    bits = [a + 2 * b + 4 * c for a, b, c in zip(number, slot, above, strict=True)]
    assert found.scores(X, (0, 1))[:, :, 0].tolist() == [[0.25] * 4, [0.25 + 2 * leaf for leaf in bits]]
    assert checked_oblivious(found.arrays(), 2, 1).arrays().keys() == found.arrays().keys()


def test_equal_questions_are_asked_once() -> None:
    twice = model("Counter", [[0], [9]])
    twice["oblivious_trees"] *= 3
    found = oblivious(twice, (0, 3))
    assert found.column.size == 3 and found.questions.tolist() == [0, 1, 2] * 3 and found.table.size == 1


def test_trees_without_questions_are_constants() -> None:
    flat = model("Counter", [[0], [9]])
    flat["oblivious_trees"] = [{"splits": None, "leaf_values": [1.5]}]
    assert oblivious(flat, (0, 3)).scores(X, (1,))[0, :, 0].tolist() == [3.25] * 4

"""From CatBoost's JSON of a fitted model to plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spaces.oblivious import Oblivious

NO_KEY = 2**64 - 1  # an empty place of CatBoost's tables

Record = Mapping[str, Any]
Question = tuple[int, float, bool, bool]  # column, border, is_equal, is_missing_yes


def oblivious(model: Record, n_slots: Sequence[int]) -> Oblivious:
    """The arrays of a model.

    Parameters
    ----------
    model
        What ``save_model(format="json", pool=...)`` wrote, with a pool that shows every slot.
    n_slots
        Per column of the ordinal matrix, how many slots it has; 0: a number.
    """
    reader = _Reader(model, n_slots)
    trees = [[reader.split(one) for one in tree["splits"] or ()] for tree in model["oblivious_trees"]]
    baseline = np.asarray(model["scale_and_bias"][1], np.float64)
    scale = float(model["scale_and_bias"][0])
    values = [np.asarray(tree["leaf_values"], np.float64) for tree in model["oblivious_trees"]]
    tables, statistics = reader.tables, reader.statistics
    questions = list(reader.questions)
    return Oblivious(
        n_columns=np.asarray([len(n_slots)], np.int32),
        column=np.asarray([one[0] for one in questions], np.int32),
        border=np.asarray([one[1] for one in questions], np.float32),
        is_equal=np.asarray([one[2] for one in questions], bool),
        is_missing_yes=np.asarray([one[3] for one in questions], bool),
        questions=_flat(trees, np.int32),
        question_starts=_starts(trees),
        value=scale * np.concatenate([np.zeros(0), *values]).reshape(-1, baseline.size),
        baseline=baseline,
        slot_hashes=_flat(reader.hashes, np.uint64),
        slot_starts=_starts(reader.hashes),
        elements=_flat([elements for elements, _ in tables], np.int32),
        element_starts=_starts([elements for elements, _ in tables]),
        keys=_flat([keys for _, keys in tables], np.uint64),
        key_starts=_starts([keys for _, keys in tables]),
        table=np.asarray([table for table, _, _ in statistics], np.int32),
        statistic=_flat([values for _, values, _ in statistics], np.float32),
        unknown=np.asarray([unknown for _, _, unknown in statistics], np.float32),
    )


class _Reader:
    """Numbers questions and tables in the order in which trees ask for them."""

    def __init__(self, model: Record, n_slots: Sequence[int]) -> None:
        self._features, self._counts = model["features_info"], model.get("ctr_data", {})
        slots = np.asarray(n_slots)
        self._numbers, self._categories = np.flatnonzero(slots == 0), np.flatnonzero(slots > 0)
        self._missing = [
            one.get("nan_value_treatment") == "AsTrue" for one in self._features.get("float_features") or ()
        ]
        known = {item["value"]: item["hash"] for item in self._features.get("cat_features_hash") or ()}
        self._slot_of = {_signed(value): int(slot) for slot, value in known.items()}
        self.hashes = [[_wide(known[str(slot)]) for slot in range(n)] for n in n_slots]
        self._places = self._statistic_places()
        self.questions: dict[Question, int] = {}
        self.tables: list[tuple[list[int], np.ndarray]] = []
        self.statistics: list[tuple[int, np.ndarray, np.float32]] = []
        self._table_numbers: dict[str, int] = {}
        self._statistic_numbers: dict[int, int] = {}

    def split(self, split: Record) -> int:
        """The number of the question of a split."""
        if split["split_type"] != "OnlineCtr":
            return self._plain(split)
        which = self._places[split["split_index"]]
        if which not in self._statistic_numbers:
            self._statistic_numbers[which] = len(self.statistics)
            self.statistics.append(self._statistic(self._features["ctrs"][which]))
        column = self._numbers.size + self._categories.size + self._statistic_numbers[which]
        return self._number((column, split["border"], False, False))

    def _plain(self, record: Record) -> int:
        """The question of a split, or of an element of a combination, about a column."""
        if "float_feature_index" in record:
            k = record["float_feature_index"]
            return self._number((int(self._numbers[k]), record["border"], False, self._missing[k]))
        slot = self._slot_of[_signed(record["value"])]
        return self._number((int(self._categories[record["cat_feature_index"]]), float(slot), True, False))

    def _number(self, question: Question) -> int:
        return self.questions.setdefault(question, len(self.questions))

    def _statistic_places(self) -> dict[int, int]:
        """The statistic of each split index: borders of numbers come first, then slots, then statistics."""
        floats, categories = (
            self._features.get(f"{name}_features") or () for name in ("float", "categorical")
        )
        first = sum(len(one.get("borders") or ()) for one in floats)
        first += sum(len(one.get("values") or ()) for one in categories)
        sizes = [len(one["borders"]) for one in self._features.get("ctrs") or ()]
        owners = np.repeat(np.arange(len(sizes)), sizes)
        return {first + k: int(owner) for k, owner in enumerate(owners)}

    def _statistic(self, record: Record) -> tuple[int, np.ndarray, np.float32]:
        """A statistic's table, its values per key, and that of an unknown key."""
        counts = self._counts[record["identifier"]]
        keys, values = _read(counts)
        if record["identifier"] not in self._table_numbers:
            self._table_numbers[record["identifier"]] = len(self.tables)
            self.tables.append((self._elements(record["elements"]), keys))
        good, total, unknown_total = _good_of(record, values, counts["counter_denominator"])
        table = self._table_numbers[record["identifier"]]
        return table, _value(record, good, total), _value(record, np.zeros(1), unknown_total)[0]

    def _elements(self, elements: Sequence[Record]) -> list[int]:
        """The parts of a combination in the order in which they are hashed."""
        kinds = ("cat_feature_value", "float_feature", "cat_feature_exact_value")
        ordered = sorted(elements, key=lambda one: kinds.index(one["combination_element"]))
        return [
            -1 - int(self._categories[one["cat_feature_index"]])
            if one["combination_element"] == kinds[0]
            else self._plain(one)
            for one in ordered
        ]


def _read(counts: Record) -> tuple[np.ndarray, np.ndarray]:
    """Keys, rising, and what was counted for each, ``(n_keys, n_counts)``."""
    stride, flat = counts["hash_stride"], counts["hash_map"]
    keys = np.asarray([int(key) for key in flat[::stride]], np.uint64)
    values = np.asarray([flat[k::stride] for k in range(1, stride)], np.float64).T
    order = np.argsort(keys)[: int((keys != NO_KEY).sum())]
    return keys[order], values[order]


def _good_of(record: Record, values: np.ndarray, denominator: float) -> tuple[Any, Any, Any]:
    """Per key, what is counted and out of how many; and out of how many for an unknown key."""
    kind, target = record["ctr_type"], record["target_border_idx"]
    if kind in ("Counter", "FeatureFreq"):
        return values[:, 0], denominator, denominator
    if kind in ("BinarizedTargetMeanValue", "FloatTargetMeanValue"):
        return values[:, 0], values[:, 1], 0.0
    assert kind in ("Borders", "Buckets"), f"an unknown statistic {kind}"
    good = values[:, target] if kind == "Buckets" else values[:, target + 1 :].sum(axis=1)
    return good, values.sum(axis=1), 0.0


def _value(record: Record, good: np.ndarray, total: Any) -> np.ndarray:
    """``((good + prior) / (total + weight of the prior) + shift) * scale`` in CatBoost's float32."""
    numerator, weight, shift, scale = (
        np.float32(record[name]) for name in ("prior_numerator", "prior_denomerator", "shift", "scale")
    )
    share = (np.asarray(good, np.float32) + numerator) / (np.asarray(total, np.float32) + weight)
    return np.asarray((share + shift) * scale, np.float32)


def _signed(value: int) -> int:
    return (int(value) + 2**31) % 2**32 - 2**31


def _wide(value: int) -> int:
    """A hash of 32 bits as CatBoost widens it to 64: with its sign."""
    return _signed(value) % 2**64


def _flat(lists: Sequence[Any], dtype: Any) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *(np.asarray(one, dtype) for one in lists)])


def _starts(lists: Sequence[Any]) -> np.ndarray:
    return np.cumsum([0, *(len(one) for one in lists)]).astype(np.int32)

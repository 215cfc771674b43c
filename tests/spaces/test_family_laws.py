"""Laws that every family beside the networks keeps."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spaces.heads import SMALLEST_PROBABILITY
from spaces.packed import PackedError, pack_arrays
from tests.spaces.checks import KINDS, MODULES, Case, case, loaded, mean_loss, small_case

QUICK = {"learning_rate": 0.3}  # few rounds


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spaces.forest.n_trees", lambda signature: 10)
    for name in (name for name in MODULES if name.startswith("boosting")):
        monkeypatch.setattr(f"spaces.{name}.n_rounds", lambda config: 30)


def _config(module: Any, case_: Case) -> dict[str, Any]:
    config = dict(module.first_configs(case_.signature)[0])
    return {**config, **{name: value for name, value in QUICK.items() if name in config}}


def _fitted(module: Any, case_: Case, **arguments: Any) -> Any:
    arguments = {"seed": 3, **arguments}
    return module.fit(_config(module, case_), case_.signature, case_.x(module), case_.y, **arguments)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MODULES)
def test_predictions_have_their_form_and_beat_the_dummy(name: str, kind: Any) -> None:
    module, train, test = loaded(name), small_case(kind), small_case(kind, seed=1)
    model = _fitted(module, train)
    rounds = module.rounds(_config(module, train))
    found = module.predict(model, train.x(module, test.table), rounds[len(rounds) // 2])
    assert found.shape == test.y.shape and found.dtype == np.float64 and np.isfinite(found).all()
    if kind != "regression":
        assert (found >= SMALLEST_PROBABILITY / 2).all() and (found <= 1 - SMALLEST_PROBABILITY / 2).all()
    if kind == "multiclass":
        assert np.allclose(found.sum(axis=1), 1.0, atol=1e-12)
    if kind == "multilabel":
        assert (found[:, 2] == SMALLEST_PROBABILITY).all()
    dummy = np.broadcast_to(
        np.clip(train.y.mean(axis=0), 1e-6, 1 - 1e-6) if kind != "regression" else 0.0, found.shape
    )
    assert mean_loss(test, found) < 0.8 * mean_loss(test, dummy)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MODULES)
def test_bytes_keep_the_predictions_and_the_same_seed_gives_the_same_bytes(name: str, kind: Any) -> None:
    module, case_ = loaded(name), small_case(kind, n_rows=60)
    first, second = _fitted(module, case_), _fitted(module, case_)
    data = module.pack(first)
    assert isinstance(data, bytes) and data == module.pack(second)
    x, again = case_.x(module), module.unpack(data)
    for n_rounds in module.rounds(_config(module, case_))[::5]:
        assert np.allclose(
            module.predict(first, x, n_rounds), module.predict(again, x, n_rounds), rtol=0, atol=1e-12
        )
    assert module.pack(again) == data


@pytest.mark.parametrize("name", [name for name in MODULES if name != "linear"])
def test_another_seed_gives_another_model(name: str) -> None:
    module, case_ = loaded(name), small_case("binary")
    x = case_.x(module)
    models = [_fitted(module, case_, seed=seed) for seed in (1, 2)]
    last = module.rounds(_config(module, case_))[-1]
    assert not np.array_equal(*(module.predict(model, x, last) for model in models))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("boosting")])
def test_one_pass_over_the_rounds_equals_reading_each(name: str, kind: Any) -> None:
    module, case_ = loaded(name), small_case(kind)
    model, x, rounds = _fitted(module, case_), case_.x(module), module.rounds(_config(module, case_))
    together = module.predict_rounds(model, x, rounds)
    assert len(together) == len(rounds)
    for n_rounds, found in zip(rounds, together, strict=True):
        assert np.allclose(found, module.predict(model, x, n_rounds), rtol=0, atol=1e-6)
    assert mean_loss(case_, together[-1]) < mean_loss(case_, together[0])


@pytest.mark.parametrize("name", MODULES)
def test_rounds_rise_to_the_fitted_ones(name: str) -> None:
    module, case_ = loaded(name), small_case("binary")
    config = module.first_configs(case_.signature)[0]
    rounds = module.rounds(config)
    assert list(rounds) == sorted(set(rounds)) and rounds[0] >= 1
    assert len(rounds) == 1 if name in ("linear", "random_forest", "extra_trees") else 12 <= len(rounds) <= 18


@pytest.mark.parametrize("n_rows", [30, 900, 5_000, 200_000])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MODULES)
def test_first_configs_are_admissible(name: str, kind: Any, n_rows: int) -> None:
    module, case_ = loaded(name), small_case(kind, n_rows=30)
    signature = type(case_.signature)(case_.schema, case_.task, n_rows)
    space, configs = module.default_space(signature), module.first_configs(signature)
    assert 1 <= len(configs) <= 3 and 2 <= len(space.parameters) <= 8
    for config in configs:
        assert space.contains(config), space.explain(config)
    assert all(isinstance(hash(module.structure(config)), int) for config in configs)


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
@pytest.mark.parametrize("name", MODULES)
def test_sampled_configurations_fit_a_tiny_table(name: str, kind: Any) -> None:
    module, case_ = loaded(name), small_case(kind, n_rows=24)
    space, rng, x = module.default_space(case_.signature), np.random.default_rng(5), case_.x(module)
    for _ in range(2):
        config = {
            **space.sample(rng),
            **({"learning_rate": 0.2} if "learning_rate" in space.parameters else {}),
        }
        model = module.fit(config, case_.signature, x, case_.y, seed=0)
        assert np.isfinite(module.predict(model, x, module.rounds(config)[-1])).all()


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"flat": np.ones(30)}),
        pd.DataFrame({"flat": np.ones(30), "same": ["a"] * 30}),
        pd.DataFrame({"c": ["a", "b", None] * 10}),
        pd.DataFrame({"x": [*np.arange(29.0), np.nan]}),
    ],
    ids=["constant number", "constant columns", "a category alone", "a number alone"],
)
@pytest.mark.parametrize("name", MODULES)
def test_odd_columns_are_no_error(name: str, frame: pd.DataFrame) -> None:
    module = loaded(name)
    for kind in ("multiclass", "regression"):
        case_ = case(kind, frame, np.random.default_rng(0).normal(size=30))
        found = module.predict(_fitted(module, case_), case_.x(module), 1)
        assert found.shape == case_.y.shape and np.isfinite(found).all()


@pytest.mark.parametrize("name", MODULES)
def test_a_constant_target_is_predicted(name: str) -> None:
    module, case_ = loaded(name), small_case("regression", n_rows=30)
    for y, kind in ((np.zeros((30, 2)), "regression"), (np.ones((30, 1)), "binary")):
        flat = Case(case_.schema, case_.table, small_case(kind).task, y, case_.statistics)  # type: ignore[arg-type]
        found = module.predict(_fitted(module, flat), flat.x(module), 1)
        assert np.allclose(found, y, atol=2 * SMALLEST_PROBABILITY)


@pytest.mark.parametrize("name", MODULES)
def test_values_unseen_in_training_are_predicted(name: str) -> None:
    module, case_ = loaded(name), small_case("multiclass")
    new = pd.DataFrame(
        {"x": [np.nan, 1e9], "gap": [np.nan, -1e9], "flat": [np.nan, 2.0], "color": [None, "violet"]}
    )
    x = case_.x(module, case_.schema.read(new))
    found = module.predict(_fitted(module, case_), x, 5)
    assert np.isfinite(found).all() and np.allclose(found.sum(axis=1), 1.0)


@pytest.mark.parametrize("name", MODULES)
def test_rows_of_weight_zero_are_not_there(name: str) -> None:
    module, case_ = loaded(name), small_case("binary")
    weights = np.ones(120)
    weights[60:] = 0.0
    flipped = Case(case_.schema, case_.table, case_.task, case_.y.copy(), case_.statistics)
    flipped.y[60:] = 1 - flipped.y[60:]
    x = case_.x(module)
    both, weighted = (_fitted(module, flipped, row_weights=w) for w in (None, weights))
    losses = [mean_loss(case_, module.predict(model, x, 60)) for model in (both, weighted)]
    assert losses[1] < 0.8 * losses[0]


def _numbers(kind: Any) -> Case:
    """Numbers with gaps, of so few values that each has a bin of its own."""
    rng = np.random.default_rng(0)
    values = np.round(rng.normal(size=(60, 2)), 1)
    gap = np.where(rng.random(60) < 0.2, np.nan, values[:, 1])
    return case(kind, pd.DataFrame({"x": values[:, 0], "gap": gap}), values.sum(axis=1) + rng.normal(size=60))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("linear", {"features": "plain"}),
        ("linear", {"features": "hinges"}),
        ("linear", {"features": "products"}),
        ("boosting", {"min_samples_leaf": 1, "max_features": 1.0}),
    ],
)
def test_weight_two_equals_the_row_twice(name: str, changes: dict[str, Any], kind: Any) -> None:
    module, case_ = loaded(name), small_case(kind, n_rows=60)
    if name == "boosting":  # scikit-learn counts rows, not weights, where it smooths categories
        case_ = _numbers(kind)
    config = {**_config(module, case_), **changes}
    weights = np.where(np.arange(60) % 3 == 0, 2.0, 1.0)
    rows, x = np.repeat(np.arange(60), weights.astype(int)), case_.x(module)
    models = (
        module.fit(config, case_.signature, x, case_.y, seed=0, row_weights=weights),
        module.fit(config, case_.signature, x[rows], case_.y[rows], seed=0),
    )
    n_rounds = min(10, module.rounds(config)[-1])
    weighted, twice = (module.predict(model, x, n_rounds) for model in models)
    assert np.allclose(weighted, twice, rtol=0, atol=1e-5)
    plain = module.fit(config, case_.signature, x, case_.y, seed=0)
    assert not np.allclose(weighted, module.predict(plain, x, n_rounds), rtol=0, atol=1e-4)


class _Bomb:
    """An object whose unpickling writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "executed")


def _hostile(path: Path, family: str) -> list[bytes]:
    bomb = np.array([_Bomb(path)], object)
    whole, member = io.BytesIO(), io.BytesIO()
    np.save(whole, bomb, allow_pickle=True)
    np.savez(member, header=bomb, allow_pickle=True)
    return [
        b"", b"nonsense", pickle.dumps(_Bomb(path)), whole.getvalue(), member.getvalue(),
        pack_arrays(family, {}, {}),
        pack_arrays("another", {}, {}),
    ]  # fmt: skip


FAMILY_OF = {name: name.removeprefix("boosting_") for name in MODULES}


@pytest.mark.parametrize("name", MODULES)
def test_hostile_bytes_are_refused_and_nothing_is_executed(name: str, tmp_path: Path) -> None:
    module, path = loaded(name), tmp_path / "trace"
    for data in _hostile(path, FAMILY_OF[name]):
        with pytest.raises(PackedError) as caught:
            module.unpack(data)
        assert "\n" not in str(caught.value)
    assert not path.exists()
    pickle.loads(pickle.dumps(_Bomb(path)))
    assert path.exists()  # the bomb does work where it is let in


@pytest.mark.parametrize("name", MODULES)
def test_a_packed_model_with_a_foreign_array_is_refused(name: str) -> None:
    module, case_ = loaded(name), small_case("binary", n_rows=40)
    data = module.pack(_fitted(module, case_))
    with np.load(io.BytesIO(data)) as found:
        arrays = {key: found[key] for key in found.files}
    for key in arrays:
        changed = io.BytesIO()
        np.savez(changed, **{**arrays, key: np.frombuffer(b"text", np.uint8).reshape(2, 2)})
        with pytest.raises(PackedError):
            module.unpack(changed.getvalue())


@pytest.mark.parametrize("name", MODULES)
def test_damaged_bytes_are_refused(name: str) -> None:
    module, case_ = loaded(name), small_case("binary", n_rows=40)
    data = module.pack(_fitted(module, case_))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        inside = [info.header_offset + 150 for info in archive.infolist() if info.file_size > 200]
    assert inside
    for at in inside:
        with pytest.raises(PackedError):
            module.unpack(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
    with pytest.raises(PackedError):
        module.unpack(data[: len(data) // 2])

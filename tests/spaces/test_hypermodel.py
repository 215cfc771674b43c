"""A user's own model as a family: its space is found by calling it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from search.data import from_frame
from search.objective import make_plan
from search.training.engine import Engine, Job
from search.training.recipe import Recipe, recipe_for
from spaces.hypermodel import (
    Hypermodel,
    HypermodelError,
    build_with,
    import_path,
    load_build,
    space_of_build,
)
from spaces.parameters import Choice, Float, Int, SpaceError
from spaces.signature import Signature
from spaces.space import Condition
from tests.search.training import plans
from tests.spaces import user_models

HERE = "tests.spaces.user_models"


def test_loops_and_ifs_become_conditions() -> None:
    space = space_of_build(user_models.build_deep)
    assert space.parameters["units_2"] == Int(4, 8, step=4)
    assert space.conditions == {
        "units_1": Condition("depth", (2, 3)),
        "units_2": Condition("depth", (3,)),
        "rate": Condition("dropout", (True,)),
    }


def test_scopes_are_kept() -> None:
    space = space_of_build(user_models.build_scoped)
    assert space.parameters["layers"] == Int(2, 4)
    assert space.conditions == {"layers": Condition("kind", ("deep",))}


def test_optuna_style_and_a_name_on_two_flags() -> None:
    space = space_of_build(user_models.build_trial)
    assert space.parameters["momentum"] == Float(0.0, 1.0)
    assert space.parameters["both"] == Int(1, 5)  # no single condition holds it: always active
    assert space.conditions == {"momentum": Condition("optimizer", ("sgd",))}


def test_every_configuration_of_a_found_space_builds() -> None:
    space, rng = space_of_build(user_models.build_deep), np.random.default_rng(0)
    for _ in range(8):
        config = space.sample(rng)
        model = build_with(user_models.build_deep, config, space)
        assert (
            len([layer for layer in model.layers if type(layer).__name__ == "Dense"]) == config["depth"] + 1
        )  # type: ignore[operator]
        assert float(model.optimizer.learning_rate) == pytest.approx(config["lr"])


def test_an_endless_space_and_a_new_name_are_told() -> None:
    with pytest.raises(SpaceError, match="within 500 calls"):
        space_of_build(user_models.build_endless)
    with pytest.raises(HypermodelError, match="only for what was found before, got 'a'"):
        build_with(user_models.build_trial, {"optimizer": "adam"}, space_of_build(user_models.build_trial))


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("build", "must be named package.module:function, got 'build'"),
        ("no_such_module:build", "the module of 'no_such_module:build' must be importable"),
        (f"{HERE}:nothing", "must have what is named, got 'nothing'"),
        (f"{HERE}:NOT_CALLABLE", "must be a function or a HyperModel, got 3"),
    ],
)
def test_the_door_of_names(path: str, rule: str) -> None:
    with pytest.raises(HypermodelError, match=rule):
        load_build(path)


def test_what_travels_has_an_import_path() -> None:
    assert load_build(import_path(user_models.build_deep)) is user_models.build_deep
    assert space_of_build(load_build(f"{HERE}:Tuned")) == space_of_build(user_models.build_deep)
    with pytest.raises(HypermodelError, match="for another process must be a function"):
        import_path(lambda hp: hp)


def test_the_engine_trains_it_on_a_table() -> None:
    data = from_frame(plans.frame("binary", 90), "y", drop=("day",))
    family, signature = Hypermodel(f"{HERE}:build_deep"), Signature(data.schema, data.task, data.n_rows)
    config: dict[str, Any] = {**family.first_configs(signature)[0], "lr": 1e-2, "units_0": 8}
    assert family.space(signature).explain(config) is None
    recipe = recipe_for(family.training(config, signature), Recipe(n_epochs=20))
    assert (recipe.optimizer, recipe.learning_rate) == ("adam", pytest.approx(1e-2))
    job = Job(family.structure(config), lambda: family.build(config, signature), "binary", recipe)
    trained = Engine(make_plan(data, plans.members_of(data)), plans.loss_for(data)).train(job)
    assert trained.way == "stacked"
    assert min(trained.curve) < 0.5 < np.log(2)
    assert (trained.out_of_fold >= 0).all() and (trained.out_of_fold <= 1).all()


def test_a_model_that_does_not_fit_the_table_is_told() -> None:
    data = from_frame(plans.frame("regression", 60), "y", drop=("day",))
    family, signature = Hypermodel(f"{HERE}:build_deep"), Signature(data.schema, data.task, data.n_rows)
    config = family.first_configs(signature)[0]
    with pytest.raises(HypermodelError, match="the loss must be that of a regression task"):
        family.training(config, signature)
    assert Choice((False, True)) == family.space(signature).parameters["dropout"]


def test_values_that_cannot_be_built_are_part_of_the_space() -> None:
    def build(hp: Any) -> Any:
        if hp.Choice("mode", ["good", "bad"]) == "bad":
            raise RuntimeError("cannot be built")
        hp.Int("units", 1, 3)

    space = space_of_build(build)
    assert space.parameters["mode"] == Choice(("good", "bad")) and "units" in space.parameters

    def never(hp: Any) -> Any:
        raise RuntimeError("no\nlines")

    with pytest.raises(HypermodelError, match="must be built by its function, got RuntimeError: no lines"):
        space_of_build(never)

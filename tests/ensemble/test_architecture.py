import json

import pytest

from ensemble.architecture import ArchitectureError, check_architecture, check_fits, template_of
from spaces.schema import Schema
from tests.ensemble.models import TASKS, frame, plain_model


def test_plain_models_pass_and_are_built():
    model = plain_model(Schema.infer(frame()), TASKS["binary"])
    check_architecture(model.to_json())
    built = template_of(model.to_json())
    assert [v.shape for v in built.weights] == [v.shape for v in model.weights]


def test_a_compiled_model_is_built_without_its_training():
    model = plain_model(Schema.infer(frame()), TASKS["binary"])
    model.compile("adam", "binary_crossentropy")
    assert not template_of(model.to_json()).compiled


def test_a_real_lambda_layer_is_refused():
    import keras

    inputs = keras.Input((2,), name="numbers")
    model = keras.Model([inputs], keras.layers.Lambda(lambda x: x * 2)(inputs))
    with pytest.raises(ArchitectureError, match="no code, got"):
        check_architecture(model.to_json())


@pytest.mark.parametrize(
    "node",
    [
        {"class_name": "Lambda", "module": "keras.layers", "registered_name": None, "config": {}},
        {"class_name": "Lambda", "config": {}},
        {"class_name": "__lambda__", "config": {"value": "x"}},
        {"class_name": "function", "config": "system", "module": "os", "registered_name": "function"},
        {"class_name": "TFSMLayer", "module": "keras.layers", "registered_name": None, "config": {}},
        {"class_name": "system", "module": "os", "registered_name": None, "config": {}},
        {"class_name": "get_file", "module": "keras.utils", "registered_name": None, "config": {}},
        {"class_name": "Dense", "module": "keras.layers", "registered_name": "evil>Dense", "config": {}},
        {"class_name": "Mine", "module": "theirs", "registered_name": "theirs>Mine", "config": {}},
    ],
)
def test_what_is_no_layer_is_refused_at_any_depth(node):
    with pytest.raises(ArchitectureError):
        check_architecture(json.dumps(node))
    outer = {
        "class_name": "Functional",
        "module": "keras.src.models.functional",
        "registered_name": "Functional",
        "config": {"layers": [{"deep": [node]}]},
    }
    with pytest.raises(ArchitectureError):
        check_architecture(json.dumps(outer))


@pytest.mark.parametrize("text", ["", "[]", "{}", "3"])
def test_what_is_no_model_is_refused(text):
    with pytest.raises(ArchitectureError):
        check_architecture(text)


def test_weights_are_compared_before_they_are_made():
    from keras.src.backend.common import global_state

    model = plain_model(Schema.infer(frame()), TASKS["binary"])
    shapes = [tuple(v.shape) for v in model.weights]
    check_fits(model.to_json(), shapes)
    for others in (shapes[:-1], [*shapes, (1,)], [(s[0] + 1, *s[1:]) for s in shapes], []):
        with pytest.raises(ArchitectureError, match="weights must be"):
            check_fits(model.to_json(), others)
    assert not global_state.get_global_attribute("uninitialized_variables", [])  # nothing is made later


def test_rows_may_not_grow_without_bound():
    import keras

    inputs = keras.Input((4,), name="numbers")
    inner = keras.Sequential([keras.Input((4,)), keras.layers.RepeatVector(10**9), keras.layers.Flatten()])
    model = keras.Model([inputs], keras.layers.Reshape((10**9, 4))(inner(inputs)))
    check_architecture(model.to_json())
    with pytest.raises(ArchitectureError, match="a row must become at most 67108864 values"):
        check_fits(model.to_json(), [])


@pytest.mark.parametrize("name", ["unroll", "levels"])
def test_steps_and_levels_are_bounded(name):
    import keras

    inputs = keras.Input((5, 2), name="numbers")
    config = json.loads(keras.Model([inputs], keras.layers.GRU(3, unroll=name == "unroll")(inputs)).to_json())
    if name == "levels":
        for _ in range(300):
            config = {**config, "config": {"deep": config}}
    with pytest.raises(ArchitectureError, match=name):
        check_architecture(json.dumps(config))


@pytest.mark.parametrize(
    "layout",
    [
        None,
        {"n_numbers": 1},
        {"n_numbers": [1], "indicators": [], "n_codes": [], "n_slots": []},
        {"n_numbers": 1, "indicators": 2, "n_codes": [], "n_slots": []},
        {"n_numbers": 1, "indicators": [True], "n_codes": [], "n_slots": []},
        {"n_numbers": -1, "indicators": [], "n_codes": [], "n_slots": []},
    ],
)
def test_layouts_of_fitted_trials_are_whole_numbers(layout):
    text = json.dumps({"class_name": "Fitted", "family": "linear", "layout": layout})
    with pytest.raises(ArchitectureError, match="a layout must"):
        check_architecture(text)

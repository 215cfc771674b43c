import json

import pytest

from ensemble.architecture import ArchitectureError, check_architecture, template_of
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
    with pytest.raises(ArchitectureError, match="code, got"):
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

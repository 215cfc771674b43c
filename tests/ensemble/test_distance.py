import numpy as np
import pytest

from ensemble.distance import configuration_distance


def test_distance_by_hand():
    configs = [
        {"family": "mlp", "units": 64, "rate": 0.001, "dropout": 0.0},
        {"family": "mlp", "units": 128, "rate": 0.01},
        {"family": "tree", "leaves": 31},
    ]
    found = configuration_distance(configs, {"units": (0, 256), "rate": (1e-4, 1e-1, True)})
    np.testing.assert_allclose(found[0, 1], (0 + 0.25 + 1 / 3 + 1) / 4)
    np.testing.assert_allclose(found[0, 2], 1.0)  # another family, and no parameter in common
    np.testing.assert_array_equal(np.diag(found), 0.0)
    np.testing.assert_array_equal(found, found.T)


def test_numbers_without_a_range_take_their_own():
    found = configuration_distance([{"a": 1}, {"a": 2}, {"a": 5}])
    np.testing.assert_allclose(found, [[0, 0.25, 1], [0.25, 0, 0.75], [1, 0.75, 0]])


def test_flags_and_words_are_equal_or_not():
    found = configuration_distance([{"a": True, "b": "x"}, {"a": False, "b": "x"}, {"a": None, "b": 1}])
    np.testing.assert_allclose(found, [[0, 0.5, 1], [0.5, 0, 1], [1, 1, 0]])


def test_equal_and_empty_configurations():
    np.testing.assert_array_equal(configuration_distance([{"a": 3}, {"a": 3}]), 0.0)
    np.testing.assert_array_equal(configuration_distance([{}, {}]), 0.0)


@pytest.mark.parametrize("bounds", [(1, 0), (0, float("inf")), (0, 1, True)])
def test_refused_at_the_door(bounds):
    with pytest.raises(ValueError, match="got"):
        configuration_distance([{"a": 1}], {"a": bounds})

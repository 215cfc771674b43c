import numpy as np
import pytest

from ensemble.evaluation import Program
from spaces.schema import Schema
from tests.ensemble.models import TASKS, frame, member_weights, plain_model


def test_one_program_serves_candidates_and_row_counts_of_any_size():
    schema, task = Schema.infer(frame()), TASKS["multiclass"]
    model = plain_model(schema, task)
    program = Program(model.to_json())
    for n_members, n_rows in [(3, 20), (3, 1), (3, 33), (1, 1), (4, 33)]:
        members = member_weights(model, n_members, seed=n_members)
        stacked = [np.stack(arrays) for arrays in zip(*members, strict=True)]
        table = schema.read(frame(50)).take(np.arange(n_rows))
        found = program(stacked, {"numbers": table.numbers, "codes": table.codes})
        assert found.shape == (n_members, n_rows, 3)
        for weights, output in zip(members, found, strict=True):
            model.set_weights(weights)
            expected = np.asarray(model([table.numbers, table.codes], training=False))
            np.testing.assert_allclose(output, expected, atol=2e-6)
    assert program.is_batched
    assert set(program._compiled) == {1, 3, 4}  # traced once for each number of members


def test_missing_inputs_are_named():
    schema = Schema.infer(frame())
    model = plain_model(schema, TASKS["binary"])
    with pytest.raises(ValueError, match=r"inputs \['codes'\], got \['numbers'\]"):
        Program(model.to_json())([], {"numbers": np.zeros((1, 2), np.float32)})

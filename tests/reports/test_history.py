"""Held-out predictions that stay on the disk: few files open, whatever the number of trials."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from reports.history import MOST_OPEN, Stored

N_FILES = 2 * MOST_OPEN


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """Files of three tables each, whose first two count."""
    places = []
    for number in range(N_FILES):
        path = tmp_path / f"{number}.npy"
        np.save(path, np.full((3, 1, 4, 1), number, np.float32))
        places.append((path, slice(2)))
    return Stored(places)


def test_it_gives_what_was_stored(stored: Stored) -> None:
    assert len(stored) == N_FILES
    for place in (0, 7, np.int64(N_FILES - 1)):
        assert stored[place].shape == (2, 1, 4, 1) and (stored[place] == place).all()
    assert [int(table[0, 0, 0, 0]) for table in stored[3:6]] == [3, 4, 5]
    assert (stored[-1] == N_FILES - 1).all() and isinstance(stored[0], np.memmap)
    with pytest.raises(IndexError):
        stored[N_FILES]


def test_few_files_stay_open(stored: Stored) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for table in stored:
        table.sum()
    assert len(os.listdir("/proc/self/fd")) - before <= MOST_OPEN


def test_a_table_outlives_its_place_among_the_open_ones(stored: Stored) -> None:
    first = stored[0]
    for table in stored:
        table.sum()
    assert (first == 0).all()

"""What a study knows of its trials, kept as they come: equal to counting all anew, each trial read once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from search.pruning import N_STARTUP, ceilings
from search.records import Trial
from search.tally import Tally

LOOKS = (1, 8, 16, 20, 30)


def trial(number: int, status: Any = "completed", loss: float = 0.5, family: str = "mlp") -> Trial:
    curve = (loss + 0.2, loss + 0.1, loss, loss + 0.3, loss - 0.1)
    return Trial(number, family, {}, status, score=loss, checkpoints=LOOKS, curve=curve)


class Counted(list[Trial]):
    """A list that counts how often it is asked for an item."""

    n_asked = 0

    def __getitem__(self, place: Any) -> Any:
        self.n_asked += 1
        return super().__getitem__(place)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["completed", "pruned", "failed", "duplicate"]),
            st.floats(0.0, 9.0),
            st.sampled_from(["mlp", "linear"]),
        ),
        max_size=20,
    )
)
def test_it_knows_what_counting_anew_would_find(told: list[tuple[str, float, str]]) -> None:
    trials, tally = [trial(n, *one) for n, one in enumerate(told)], Tally(LOOKS)
    for end in range(len(trials) + 1):
        known = trials[:end]
        tally.catch_up(known)
        networks = [t for t in known if t.status == "completed" and t.family == "mlp"]
        assert tally.limits == ceilings([(t.checkpoints, t.curve) for t in networks], LOOKS)
        assert tally.n_told == sum(t.status in ("completed", "pruned") for t in known)
        assert [tally.trial(n) for n in range(end)] == known and tally.trial(end) is None


def test_each_trial_is_read_once() -> None:
    trials, tally = Counted(), Tally(LOOKS)
    for number in range(50):
        trials.append(trial(number))
        tally.catch_up(trials)
        tally.catch_up(trials)
    assert trials.n_asked == 50


def test_workers_that_ask_at_once_count_nothing_twice() -> None:
    trials, tally = [trial(number) for number in range(200)], Tally(LOOKS)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda end: tally.catch_up(trials[:end]) if end > 150 else None, range(201)))
    assert tally.n_told == 200


def test_the_first_trial_of_a_number_is_the_one() -> None:
    tally, first = Tally(LOOKS), trial(3, loss=0.1)
    tally.catch_up([first, trial(3, "duplicate")])
    assert tally.trial(3) is first and N_STARTUP > 1 and tally.limits == {}

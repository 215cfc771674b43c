"""A storage at which a trial is drawn as a whole before anything of it is written."""

from __future__ import annotations

from datetime import datetime
from typing import Any, final

from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage, _StudyInfo
from optuna.trial import FrozenTrial, TrialState

from search.remote import tables


@final
class Desk(_CachedStorage):
    """Optuna's storage for a process; what is suggested for a trial that lies here is kept until `write`.

    Optuna writes each parameter as it is drawn. Here a trial has all of its parameters or none, in one
    transaction, so that an unfinished draw of a lost worker leaves nothing behind.
    """

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._trial: FrozenTrial | None = None
        self._drawn: dict[str, tuple[float, BaseDistribution]] = {}
        self._highest = -1

    def lay(self, taken: tables.Taken) -> FrozenTrial:
        """Have a trial at hand that this process took; what an earlier worker drew for it is there."""
        self._drawn = {}
        self._trial = _blank(taken) if taken.is_new else self._backend.get_trial(taken.trial_id)
        return self._trial

    def write(self, **notes: Any) -> bool:
        """Write the trial that lies here down; False where somebody else has, whose draw stands."""
        assert self._trial is not None
        trial, self._trial = self._trial, None
        return not self._drawn or tables.write_down(self._backend, trial._trial_id, self._drawn, notes)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """The trial that lies here, or any other."""
        if self._trial is not None and self._trial._trial_id == trial_id:
            return self._trial
        return super().get_trial(trial_id)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Keep what was suggested until it is written."""
        if self._trial is None or self._trial._trial_id != trial_id:
            super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
            return
        self._drawn[param_name] = param_value_internal, distribution

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Samplers tell each other what they are about to draw; here it is drawn at once."""
        if self._trial is None or self._trial._trial_id != trial_id:
            super().set_trial_system_attr(trial_id, key, value)

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        """Read what changed; of a trial that runs and was drawn, nothing changes until its end."""
        with self._lock:
            study = self._studies.setdefault(study_id, _StudyInfo())
            drawn = {one for one in study.unfinished_trial_ids if self._is_drawn(study, one)}
            found = tables.newly_finished(self._backend, study_id, drawn, self._highest)
            changed = (study.unfinished_trial_ids - drawn) | {one for one, _, _ in found}
            if not changed:
                return
            trials = self._backend._get_trials(study_id, None, changed, max(changed))
            self._add_trials_to_cache(study_id, trials)
            study.unfinished_trial_ids -= changed
            study.unfinished_trial_ids |= {one._trial_id for one in trials if not one.state.is_finished()}
            self._highest = max(self._highest, *changed)

    def _is_drawn(self, study: _StudyInfo, trial_id: int) -> bool:
        trial = study.trials[self._trial_id_to_study_id_and_number[trial_id][1]]
        return trial.state == TrialState.RUNNING and bool(trial.params)


def _blank(taken: tables.Taken) -> FrozenTrial:
    return FrozenTrial(
        number=taken.number, state=TrialState.RUNNING, value=None, datetime_start=datetime.now(),
        datetime_complete=None, params={}, distributions={}, user_attrs={}, system_attrs={},
        intermediate_values={}, trial_id=taken.trial_id,
    )  # fmt: skip

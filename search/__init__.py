"""Data, splits, training, trials, ledger and records of a study."""

"""The training engine: all members of a trial in one compiled program."""

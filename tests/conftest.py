"""Hypothesis draws the same examples in every run; HYPOTHESIS_PROFILE=explore draws new ones.

An example has no deadline: how long it takes says more about what else the machine does.
"""

import os

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

"""Imported by the fork server before it forks: the engine, quietly."""

from spaces.startup import import_tensorflow

import_tensorflow()
import search.training.engine  # noqa: E402, F401

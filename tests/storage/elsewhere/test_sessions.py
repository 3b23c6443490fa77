"""The same contract elsewhere."""

from tests.storage.test_sessions import *  # noqa: F403

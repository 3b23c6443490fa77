"""The same contract elsewhere."""

from tests.storage.test_refresh import *  # noqa: F403

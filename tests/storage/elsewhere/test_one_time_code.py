"""The same contract elsewhere."""

from tests.storage.test_one_time_code import *  # noqa: F403

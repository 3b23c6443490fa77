"""The same contract elsewhere."""

from tests.storage.test_code import *  # noqa: F403

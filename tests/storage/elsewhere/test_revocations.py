"""The same contract elsewhere."""

from tests.storage.test_revocations import *  # noqa: F403

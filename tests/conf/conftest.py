from pathlib import Path

import pytest


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the files that settings refer to."""
    for name in ("kek", "cert.pem", "key.pem", "ca.pem"):
        (tmp_path / name).write_text("x")
    (tmp_path / "token").write_text("Bearer abc\n")
    return tmp_path

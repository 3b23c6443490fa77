"""What docs/integrate.md tells app teams to write: what is tested is what they read."""

import re
from pathlib import Path
from typing import Literal

ISSUER = "https://id.example.com"
"""The provider, as the guide calls it."""

_GUIDE = Path(__file__).parent.parent / "docs" / "integrate.md"


def blocks(language: Literal["toml", "js", "python", "json", "console"]) -> list[str]:
    """Every block of the guide in a language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```$", _GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


def block(language: Literal["js", "python", "json"], has: str) -> str:
    """The one block that has a text."""
    (found,) = (it for it in blocks(language) if has in it)
    return found


def channels_file() -> str:
    """The channels file that the guide makes, table by table."""
    return "\n".join(blocks("toml"))

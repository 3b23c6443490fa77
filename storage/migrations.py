"""The migrations of this version, and how an operator applies them."""

from pathlib import Path

LUA = Path(__file__).parent / "lua"

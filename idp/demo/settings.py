"""What the demo is told by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(Exception):
    """The environment is not usable; the message says what is wrong in one sentence."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the provider is, who the demo is for it, and where the demo listens."""

    issuer: str
    client_id: str
    client_secret: str
    host: str
    port: int
    session_secret: str

    @property
    def origin(self) -> str:
        """The one address under which browsers may see the demo."""
        return f"http://{self.host}:{self.port}"


def load(environment: Mapping[str, str]) -> Settings:
    """Read the settings. Raises SettingsError."""
    port = environment.get("DEMO_PORT", "8001")
    if not port.isdecimal() or int(port) not in range(1, 65536):
        raise SettingsError(f"DEMO_PORT must be a port number, not {port!r}")
    return Settings(
        issuer=environment.get("DEMO_ISSUER", "http://127.0.0.1:8000"),
        client_id=environment.get("DEMO_CLIENT_ID", "demo"),
        client_secret=_secret(environment, "DEMO_CLIENT_SECRET_FILE"),
        host=environment.get("DEMO_HOST", "localhost"),
        port=int(port),
        session_secret=_secret(environment, "DEMO_SESSION_SECRET_FILE"),
    )


def _secret(environment: Mapping[str, str], name: str) -> str:
    path = environment.get(name)
    if not path:
        raise SettingsError(f"{name} must name a file")
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}: cannot read {path}: {error}") from error
    if not secret:
        raise SettingsError(f"{name}: {path} is empty")
    return secret

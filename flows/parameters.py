"""Request parameters, as they arrived."""

from collections.abc import Iterable, Mapping
from typing import Self

import msgspec

from flows.errors import InvalidRequest


class Parameters(msgspec.Struct, frozen=True):
    """Parameters by name; one without a value counts as omitted (RFC 6749 3.1)."""

    values: Mapping[str, str]
    repeated: frozenset[str] = frozenset()

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Self:
        """Gather name and value pairs; of a repeated parameter the first value stays."""
        values: dict[str, str] = {}
        seen: set[str] = set()
        repeated: set[str] = set()
        for name, value in pairs:
            if name in seen:
                repeated.add(name)
            seen.add(name)
            if value and name not in values:
                values[name] = value
        return cls(values, frozenset(repeated))

    def get(self, name: str) -> str | None:
        """The value, or None where the parameter is omitted."""
        return self.values.get(name)

    def require(self, name: str) -> str:
        """The value. Raises InvalidRequest where the parameter is omitted."""
        value = self.values.get(name)
        if value is None:
            raise InvalidRequest(f"{name} is missing")
        return value

    def refuse_repeated(self) -> None:
        """Raise InvalidRequest if any parameter was sent twice (RFC 6749 3.1 and 3.2)."""
        if self.repeated:
            raise InvalidRequest("a parameter is included more than once")

    def only(self, names: frozenset[str]) -> "Parameters":
        """Just these parameters; whoever reads another one finds it omitted."""
        return Parameters({name: it for name, it in self.values.items() if name in names})

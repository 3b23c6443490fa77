"""Reading TOML value by value: a fault is noted under its dotted key, and the reading goes on."""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from conf.urls import url_faults


class ConfigurationError(Exception):
    """A configuration that cannot be used.

    `faults` holds all that is wrong with it, each beginning with the key:
    `lifetimes.code_seconds: must be 1..60`.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__(*faults)
        self.faults: tuple[str, ...] = faults

    def __str__(self) -> str:
        return "\n".join(self.faults)


class Form(NamedTuple):
    """The pattern that a whole text must match, and what to say when it does not."""

    pattern: re.Pattern[str]
    what: str


_POINTER: Final = Form(
    re.compile(r"(/([^~/]|~[01])*)+"), "must be a JSON pointer, such as /messages, or empty"
)
_PRINTABLE_ASCII: Final = Form(re.compile(r"[ -~]+"), "must be printable ASCII")


@dataclass(frozen=True, slots=True)
class Source:
    """What the values of one file are read against, and where its faults gather."""

    directory: Path  # relative paths begin here
    environ: Mapping[str, str]
    faults: list[str] = field(default_factory=list)


def read_toml(path: Path) -> dict[str, object]:
    """Return the tables of the file; ConfigurationError if it is not readable TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path}: is not TOML: {error}") from error


class Table:
    """One TOML table.

    A reader never raises: it notes the fault and returns a stand-in of the right type, which for
    text is the empty string. `close` notes the keys that no reader asked for.
    """

    def __init__(self, values: Mapping[str, object], source: Source, key: str = "") -> None:
        self.key = key
        self._values = values
        self._source = source
        self._known: set[str] = set()
        self._children: list[Table] = []

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return (name for name, value in self._values.items() if value is not None)

    def is_table(self, name: str) -> bool:
        """Say whether the value `name` is there and is a table."""
        return isinstance(self._values.get(name), dict)

    def fault(self, name: str, what: str) -> None:
        """Note a fault of the value `name`, or of the whole table if `name` is empty."""
        self._source.faults.append(f"{self._dotted(name)}: {what}")

    def close(self) -> None:
        """Note every key, here and below, that was not read."""
        for name in self:
            if name not in self._known:
                near = difflib.get_close_matches(name, self._known - set(self._values), n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                self.fault(name, f"unknown key{hint}")
        for child in self._children:
            child.close()

    def rest(self) -> dict[str, object]:
        """Return all that has not been read yet, as it stands in the file; it counts as read."""
        rest = {name: value for name, value in self._values.items() if name not in self._known}
        self._known.update(rest)
        return rest

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`."""
        value = self._take(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.fault(name, f"must be {low}..{high}, a whole number")
            return default
        return value

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """Return a number from `low` to `high`."""
        value = self._take(name, default)
        if (
            not isinstance(value, int | float)
            or isinstance(value, bool)
            or not low <= value <= high
        ):
            self.fault(name, f"must be {low:g}..{high:g}")
            return default
        return float(value)

    def boolean(self, name: str, *, default: bool) -> bool:
        """Return a boolean."""
        value = self._take(name, default)
        if not isinstance(value, bool):
            self.fault(name, "must be true or false")
            return default
        return value

    def text(self, name: str, default: str | None = None, form: Form | None = None) -> str:
        """Return a text without control characters; required unless there is a default."""
        value = self._take(name, default)
        if value is None:
            self.fault(name, "is required")
        elif not isinstance(value, str):
            self.fault(name, "must be a text")
        elif not value.strip() or not value.isprintable():
            self.fault(name, "must not be empty or have control characters")
        elif form is not None and not form.pattern.fullmatch(value):
            self.fault(name, form.what)
        else:
            return value
        return ""

    def pointer(self, name: str) -> str:
        """Return a JSON pointer (RFC 6901); the empty one is to the whole."""
        return "" if self._take(name, None) == "" else self.text(name, form=_POINTER)

    def texts(self, name: str, *, required: bool = False) -> tuple[str, ...]:
        """Return a list of texts; an absent one is empty, and a fault if one is required."""
        value = self._take(name, [])
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            if required and not value:
                self.fault(name, "is required")
            return tuple(value)
        self.fault(name, "must be a list of texts")
        return ()

    def integers(self, name: str, low: int, high: int) -> tuple[int, ...]:
        """Return a list of whole numbers from `low` to `high`; an absent one is empty."""
        value = self._take(name, [])
        if isinstance(value, list) and all(
            isinstance(item, int) and not isinstance(item, bool) and low <= item <= high
            for item in value
        ):
            return tuple(value)
        self.fault(name, f"must be a list of whole numbers, {low}..{high}")
        return ()

    def url(self, name: str, faults: Callable[[str], Iterable[str]] = url_faults) -> str:
        """Return a required URL in which `faults` finds nothing to object to."""
        value = self.text(name)
        found = list(faults(value)) if value else []
        for what in found:
            self.fault(name, what)
        return "" if found else value

    def path(self, name: str, default: Path | None = None) -> Path:
        """Return an absolute path; in the file it may be relative, and is required as `text` is."""
        return self._source.directory / self.text(name, str(default) if default else None)

    def readable_file(self, name: str) -> Path | None:
        """Return the path of a file that can be opened for reading; None if the key is absent."""
        if name not in self:
            self._known.add(name)
            return None
        text = self.text(name)
        path = self._source.directory / text
        try:
            if text:
                path.open("rb").close()
        except OSError as error:
            self.fault(name, f"{path} cannot be read: {error.strerror}")
        return path

    def table(self, name: str) -> "Table":
        """Return the table below `name`; an empty one if it is absent."""
        value = self._take(name, {})
        if not isinstance(value, dict):
            self.fault(name, "must be a table")
            value = {}
        return self._child(value, self._dotted(name))

    def tables(
        self, name: str, label: str | None = None, *, required: bool = False
    ) -> list["Table"]:
        """Return the tables of an array, at least one if they are required.

        Faults tell them apart by the value of `label`.
        """
        value = self._take(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.fault(name, "must be an array of tables")
            return []
        if required and not value:
            self.fault(name, "is required")
        keys = [item.get(label, index) for index, item in enumerate(value)]
        dotted = self._dotted(name)
        return [
            self._child(item, f"{dotted}[{key}]") for item, key in zip(value, keys, strict=True)
        ]

    def file_text(self, name: str, path: Path) -> str:
        """Return the text of the file that the value `name` led to; an empty file is a fault."""
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            self.fault(name, f"{path} cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self.fault(name, f"{path} is not UTF-8")
        else:
            if not text.strip():
                self.fault(name, f"{path} is empty")
            return text
        return ""

    def secret(self, directory: Path | None = None) -> str:
        """Return the secret that this table refers to by `env` or by `file`.

        A file is looked for below `directory` (else beside the TOML file); its last line end is
        not part of the secret.
        """
        if ("env" in self) == ("file" in self):
            self.rest()
            self.fault("", "must have exactly one of env, file")
            return ""
        if "file" in self:
            name = self.text("file")
            path = (directory or self._source.directory) / name
            value = self.file_text("file", path).rstrip("\r\n") if name else ""
        else:
            name = self.text("env")
            value = self._source.environ.get(name, "")
            if name and not value:
                self.fault("env", f"the environment variable {name} is not set")
        if value and not _PRINTABLE_ASCII.pattern.fullmatch(value):
            self.fault("", "must refer to a secret of printable ASCII")
        return value

    def text_or_secret(self, name: str) -> str:
        """Return a printable ASCII text: in clear, or from a table that `secret` resolves."""
        if self.is_table(name):
            return self.table(name).secret()
        return self.text(name, form=_PRINTABLE_ASCII)

    def _take(self, name: str, default: object) -> object:
        self._known.add(name)
        return self._values[name] if name in self else default

    def _child(self, values: Mapping[str, object], key: str) -> "Table":
        child = Table(values, self._source, key)
        self._children.append(child)
        return child

    def _dotted(self, name: str) -> str:
        return f"{self.key}.{name}" if self.key and name else self.key or name

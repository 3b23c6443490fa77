"""Kannel as the distribution packages it: its HTTP interface, and its fake SMS centre behind."""

import contextlib
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote_to_bytes

from tests.process.processes import eventually
from tests.process.server import free_ports

_FAKE_SMS_CENTRE = "/usr/lib/kannel/test/fakesmsc"
_SECONDS = 20.0
_LINE_SECONDS = 0.2  # within which the lines of one message are written
_USERNAME, _PASSWORD = "idp", "kannel-secret"
_CONFIGURATION = """
group = core
admin-interface = 127.0.0.1
admin-port = {admin}
admin-password = {password}
smsbox-interface = 127.0.0.1
smsbox-port = {smsbox}
box-allow-ip = 127.0.0.1
dlr-storage = internal

group = smsc
smsc = fake
smsc-id = fake
port = {smsc}
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-interface = 127.0.0.1
sendsms-port = {sendsms}

group = sendsms-user
username = {username}
password = {password}
user-allow-ip = 127.0.0.1
max-messages = 5
concatenation = true

group = sms-service
keyword = default
text = ""
"""
_GOT = re.compile(r"DEBUG: Got message \d+: <(.*)>$", re.MULTILINE)
_BEGINNING = re.compile(r"(\S+) (\S+) (text|ucs-2|udh (\S+) data) (.*)")


@dataclass(frozen=True, slots=True)
class Received:
    """A short message as it arrived at the fake SMS centre.

    A part of a longer text begins with a user data header; of its alphabet nothing is said.
    """

    sender: str
    receiver: str
    kind: str  # text, ucs-2 or udh
    octets: bytes
    header: bytes = b""

    @property
    def text(self) -> str:
        """What a phone shows of a whole text."""
        return self.octets.decode({"text": "utf-8", "ucs-2": "utf-16-be"}[self.kind])


@dataclass(frozen=True, slots=True)
class Kannel:
    """A running Kannel.

    `sendsms` is the URL that takes a message in its query: `username`, `password`, `from`, `to`,
    `text`, `charset`, `coding` (0 for the default alphabet, 2 for UCS-2), `dlr-mask` and `dlr-url`.
    It answers 202. Its answer has no name for the message, so `dlr-url` must hold the sender's own;
    Kannel fills in `%d` (1 delivered, 2 not) and others.
    """

    sendsms: str
    directory: Path
    username: str = _USERNAME
    password: str = _PASSWORD

    def received(self, count: int) -> list[Received]:
        """Wait until so many have arrived, and no line more."""

        def settled() -> bool:
            found = self._received()
            time.sleep(_LINE_SECONDS)
            return len(found) >= count and found == self._received()

        eventually(settled, f"{count} messages", _SECONDS)
        return self._received()

    def _received(self) -> list[Received]:
        log = (self.directory / "fakesmsc.log").read_text(encoding="utf-8")
        messages: list[Received] = []
        for line in _GOT.findall(log):
            beginning = _BEGINNING.fullmatch(line)
            if beginning is None:  # its protocol is one of lines, and so is its log
                last = messages.pop()
                octets = last.octets + b"\n" + line.encode()
                messages.append(replace(last, octets=octets))
                continue
            sender, receiver, kind, header, data = beginning.groups()
            octets = data.encode() if kind == "text" else _unquoted(data)
            messages.append(
                Received(sender, receiver, kind.split()[0], octets, _unquoted(header or ""))
            )
        return messages


def _unquoted(data: str) -> bytes:
    return unquote_to_bytes(data.replace("+", " "))


@contextlib.contextmanager
def run_kannel(directory: Path) -> Iterator[Kannel]:
    """Run Kannel on ports of its own, with its files in `directory`."""
    admin, smsbox, smsc, sendsms = free_ports(4)
    configuration = directory / "kannel.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            admin=admin,
            smsbox=smsbox,
            smsc=smsc,
            sendsms=sendsms,
            username=_USERNAME,
            password=_PASSWORD,
        ),
        encoding="utf-8",
    )
    with contextlib.ExitStack() as running:

        def start(name: str, *command: object) -> None:
            running.enter_context(_running(directory / f"{name}.log", *map(str, command)))

        def told(name: str, what: str) -> None:
            log = directory / f"{name}.log"
            eventually(lambda: what in log.read_text("utf-8"), f"{name}: {what}", _SECONDS)

        start("bearerbox", "bearerbox", "-v", 0, configuration)
        told("bearerbox", "Start-up done")
        start("fakesmsc", _FAKE_SMS_CENTRE, "-H", "127.0.0.1", "-r", smsc, "-m", 0, "1 2 text nop")
        told("bearerbox", "Fakesmsc client connected")
        start("smsbox", "smsbox", "-v", 0, configuration)
        told("bearerbox", "Client connected from")
        told("smsbox", "Connected to bearerbox")
        yield Kannel(f"http://127.0.0.1:{sendsms}/cgi-bin/sendsms", directory)


@contextlib.contextmanager
def _running(log: Path, *command: str) -> Iterator[None]:
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

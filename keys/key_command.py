"""Running the command that prints a key-encryption key: bounded in time and in output."""

import os
import selectors
import signal
import subprocess
import time
from typing import BinaryIO, cast

from keys.errors import SealError

COMMAND_SECONDS = 10.0
_MOST_COMPLAINT_BYTES = 200
_READ_BYTES = 4096


def output_of(
    command: tuple[str, ...], *, most_bytes: int, seconds: float = COMMAND_SECONDS
) -> bytes:
    """Return what `command`, a program and its arguments, writes to its standard output.

    Raises `SealError` if it cannot be run, fails, takes over `seconds` or writes more than
    `most_bytes`. The error names the program alone, since an argument may be a credential, and
    quotes at most one line: the first that a failed command wrote to its standard error.
    """
    program = command[0]
    try:
        process = subprocess.Popen(  # noqa: S603  an operator's settings say what to run
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a command"
        raise SealError(f"{program} cannot be run: {reason}") from None
    with process:
        try:
            output, complaint = _read(process, most_bytes, seconds)
        except TimeoutError:
            raise SealError(f"{program} did not end within {seconds:g} seconds") from None
        finally:
            if process.returncode is None:  # the number is its own until it has been waited for
                os.killpg(process.pid, signal.SIGKILL)
    if len(output) > most_bytes:
        raise SealError(f"{program} wrote more than {most_bytes} bytes")
    if process.returncode:
        raise SealError(f"{program} {_failure(process.returncode)}{_first_line(complaint)}")
    return output


def _read(process: subprocess.Popen[bytes], most_bytes: int, seconds: float) -> tuple[bytes, bytes]:
    """Return the beginnings of both outputs, once it ended or wrote too much."""
    deadline = time.monotonic() + seconds
    stdout, stderr = cast("BinaryIO", process.stdout), cast("BinaryIO", process.stderr)
    kept = {stdout.fileno(): b"", stderr.fileno(): b""}
    most = {stdout.fileno(): most_bytes + 1, stderr.fileno(): _MOST_COMPLAINT_BYTES}
    with selectors.DefaultSelector() as selector:
        for pipe in kept:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map() and len(kept[stdout.fileno()]) <= most_bytes:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            for key, _ in selector.select(left):
                data = os.read(key.fd, _READ_BYTES)
                if not data:
                    selector.unregister(key.fd)
                kept[key.fd] = (kept[key.fd] + data)[: most[key.fd]]
    if len(kept[stdout.fileno()]) <= most_bytes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
    return kept[stdout.fileno()], kept[stderr.fileno()]


def _failure(returncode: int) -> str:
    if returncode < 0:
        return f"was ended by signal {-returncode}"
    return f"failed with exit code {returncode}"


def _first_line(complaint: bytes) -> str:
    lines = complaint.decode(errors="replace").split("\n")
    line = next((line.strip() for line in lines if line.strip()), "")
    printable = "".join(character for character in line if character.isprintable())
    return f": {printable}" if printable else ""

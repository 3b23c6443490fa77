"""Start the demo market: `python -m idp.demo`."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import threading
import time

import uvicorn

from idp.demo.settings import SettingsError, load


def main() -> None:
    """Serve until SIGTERM, SIGINT or the end of the parent process."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        settings = load(os.environ)
        sockets = _listen(settings.host, settings.port)
    except (SettingsError, OSError) as error:
        sys.exit(f"demo: {error}")
    # By name: the watch over the parent already runs while the application is imported.
    config = uvicorn.Config(
        "idp.demo.app:from_environment",
        factory=True,
        access_log=False,
        server_header=False,
        lifespan="off",
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    sys.stderr.write(f"demo: {settings.origin} signs in at {settings.issuer}\n")
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=sockets)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def _listen(host: str, port: int) -> list[socket.socket]:
    # Browsers may try ::1 before 127.0.0.1, so every address of the name is served.
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    sockets = []
    for family, address in dict.fromkeys((entry[0], entry[4][:2]) for entry in found):
        try:
            sockets.append(socket.create_server(address, family=family))
        except OSError as error:
            # A hosts file names ::1 even where IPv6 is switched off.
            if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                raise
    if not sockets:
        raise OSError(f"no address of {host} can be listened on")
    return sockets


if __name__ == "__main__":
    main()

"""Network links between nodes that a test can cut: what is on its way then arrives later."""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

_CHUNK = 65_536


class Links:
    """Each link is a port of its own that leads to another port; they are cut one by one."""

    def __init__(self) -> None:
        self._flowing: dict[int, threading.Event] = {}
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.heal()
        for one in list(self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(5)
        for one in self._sockets:
            one.close()

    def to(self, port: int) -> int:
        """Make a link to a port of this machine; return the link's own port."""
        listener = socket.create_server(("127.0.0.1", 0))
        link = int(listener.getsockname()[1])
        self._flowing[link] = threading.Event()
        self._flowing[link].set()
        self._sockets.append(listener)
        self._start(self._accept, listener, port, self._flowing[link])
        return link

    def cut(self, *links: int) -> None:
        for link in links:
            self._flowing[link].clear()

    def heal(self) -> None:
        for flowing in self._flowing.values():
            flowing.set()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket, port: int, flowing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                self._sockets.append(near)
                self._start(self._carry, near, port, flowing)

    def _carry(self, near: socket.socket, port: int, flowing: threading.Event) -> None:
        flowing.wait()
        try:
            far = socket.create_connection(("127.0.0.1", port))
        except OSError:
            near.close()
            return
        self._sockets.append(far)
        self._start(_pump, far, near, flowing)
        _pump(near, far, flowing)


def _pump(source: socket.socket, target: socket.socket, flowing: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            flowing.wait()
            target.sendall(data)
    flowing.wait()
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)

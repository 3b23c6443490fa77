"""Sessions with one PKCS#11 token for several threads: one login, and another one after a loss.

PKCS#11 keeps its state in the process: one `Sessions` for each process, and none that was opened
before a fork. Workers are spawned and open their own at the first use.
"""

import ctypes
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

import pkcs11
from pkcs11 import Attribute, ObjectClass, PKCS11Error
from pkcs11._pkcs11 import lib

from conf.model import HsmSettings
from keys.errors import HsmError

# A token that is away is asked again this often, in seconds; others are refused at once meanwhile.
_PAUSE: Final = 1.0
# SoftHSM never again sees the keys of a token that was away for a moment: what is not found is
# looked for by a library that begins anew, unless that has just begun, so many seconds ago.
_FRESH: Final = 5.0
# SoftHSM does not see a token whose file another process writes at this moment, as each login does.
_PAUSES_OF_SEARCH: Final = (0.0, 0.1, 0.2)


class _StaleView(pkcs11.NoSuchKey):
    """Something is not there, in the eyes of a library that began a while ago."""


# What a lost session, a restarted token or a lost connection to it looks like to its user.
_LOSSES: Final = (
    pkcs11.DeviceError,
    pkcs11.DeviceRemoved,
    pkcs11.FunctionFailed,
    pkcs11.GeneralError,
    pkcs11.KeyHandleInvalid,
    pkcs11.ObjectHandleInvalid,
    pkcs11.SessionClosed,
    pkcs11.SessionHandleInvalid,
    pkcs11.SlotIDInvalid,
    pkcs11.TokenNotPresent,
    pkcs11.TokenNotRecognised,
    pkcs11.UserNotLoggedIn,
    _StaleView,
)
# More tries would lock the token for everybody.
_WRONG_PIN: Final = (
    pkcs11.PinExpired,
    pkcs11.PinIncorrect,
    pkcs11.PinInvalid,
    pkcs11.PinLenRange,
    pkcs11.PinLocked,
    pkcs11.UserPinNotInitialized,
)

_Function = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)
_Result = TypeVar("_Result")


class _InitializeArguments(ctypes.Structure):  # CK_C_INITIALIZE_ARGS
    _fields_ = (
        ("mutex_functions", ctypes.c_void_p * 4),
        ("flags", ctypes.c_ulong),
        ("reserved", ctypes.c_void_p),
    )


class _FunctionList(ctypes.Structure):  # the beginning of CK_FUNCTION_LIST
    _fields_ = (
        ("version", ctypes.c_ubyte * 2),
        ("C_Initialize", _Function),
        ("C_Finalize", _Function),
    )


class _Library(lib):
    """The vendor's library, which promises to be safe for several threads.

    python-pkcs11 lets other threads run while the library works, yet initialises it with
    `C_Initialize(NULL)`, by which an application says that it has one thread (PKCS#11 2.40 5.4).
    SoftHSM then locks nothing, and signing in two threads corrupts its memory. So it is initialised
    here instead, with CKF_OS_LOCKING_OK.
    """

    _OS_LOCKING_OK: Final = 2

    def _functions(self) -> _FunctionList:
        functions = ctypes.POINTER(_FunctionList)()
        ctypes.CDLL(self.so).C_GetFunctionList(ctypes.byref(functions))
        return functions.contents

    def initialize(self) -> None:
        arguments = _InitializeArguments(flags=self._OS_LOCKING_OK)
        result = self._functions().C_Initialize(ctypes.addressof(arguments))
        if result != 0:
            raise PKCS11Error(f"C_Initialize answered 0x{result:08X}")

    def finalize(self) -> None:
        self._functions().C_Finalize(None)


class Session:
    """One session, for one thread at a time, and the private keys that were found in it."""

    __slots__ = ("_began", "_keys", "objects", "token")

    def __init__(self, token: pkcs11.Token, began: float) -> None:
        self.token = token
        self._began = began  # when the library did
        self.objects = token.open(rw=True)
        self._keys: dict[str, pkcs11.SignMixin] = {}  # a handle is good in the session it is from

    def private_key(self, kid: str) -> pkcs11.SignMixin:
        """Return the private key whose CKA_ID is `kid`; raises `pkcs11.NoSuchKey`."""
        key = self._keys.get(kid)
        if key is None:
            _prove_alive(self.objects)
            try:
                found = self.objects.get_key(object_class=ObjectClass.PRIVATE_KEY, id=kid.encode())
            except pkcs11.NoSuchKey:
                self._must_be_fresh()
                raise
            if not isinstance(found, pkcs11.SignMixin):
                raise pkcs11.NoSuchKey
            key = self._keys[kid] = found
        return key

    def key_objects(self, kid: str) -> list[pkcs11.Object]:
        """Return the private and the public key whose CKA_ID is `kid`, as far as they are there."""
        _prove_alive(self.objects)
        found = [
            key
            for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY)
            for key in self.objects.get_objects({Attribute.CLASS: kind, Attribute.ID: kid.encode()})
        ]
        if not found:
            self._must_be_fresh()
        return found

    def _must_be_fresh(self) -> None:
        if time.monotonic() > self._began + _FRESH:
            raise _StaleView

    def close(self) -> None:
        """Close it, whatever state it is in."""
        with suppress(PKCS11Error):
            self.objects.close()


class Sessions:
    """The sessions of this process with the token that the settings name.

    Nothing is opened before the first use. All methods block and may be called by any thread.
    """

    def __init__(self, settings: HsmSettings) -> None:
        self._settings = settings
        self._condition = threading.Condition()  # guards all that follows
        self._library: _Library | None = None
        self._token: pkcs11.Token | None = None  # None: to be opened by whoever comes next
        self._login: pkcs11.Session | None = None  # the login lasts as long as this one is open
        self._began = -math.inf
        self._idle: list[Session] = []
        self._in_use = 0
        self._refusal = ""
        self._refused_until = -math.inf

    def run(self, work: Callable[[Session], _Result], *, doing: str) -> _Result:
        """Return `work(session)`; if the token lost the session, log in anew and do it once more.

        Raises `HsmError`, which says `doing` ("sign with key ...").
        """
        try:
            with self._borrowed() as session:
                return work(session)
        except PKCS11Error as error:
            if not _is_loss(error):
                raise self._error(error, doing) from error
        try:
            with self._borrowed() as session:
                return work(session)
        except PKCS11Error as error:
            raise self._error(error, doing) from error

    def close(self) -> None:
        """End all sessions, and the library; waits for those that are in use."""
        with self._condition:
            self._condition.wait_for(lambda: self._in_use == 0)
            self._forget()
            if self._library is not None:
                self._library.finalize()
                self._library = None

    @contextmanager
    def _borrowed(self) -> Iterator[Session]:
        session = self._take()
        try:
            yield session
        except BaseException as error:
            session.close()  # whatever state it is in now, nobody uses it again
            with self._condition:
                self._in_use -= 1
                if self._token is session.token and _is_loss(error):
                    self._forget()
                self._condition.notify_all()
            raise
        with self._condition:
            self._in_use -= 1
            if self._token is session.token:
                self._idle.append(session)
            self._condition.notify_all()

    def _take(self) -> Session:
        with self._condition:
            # The library is restarted only when no other thread is inside of it.
            self._condition.wait_for(lambda: self._token is not None or self._in_use == 0)
            token = self._token or self._open_token()
            try:
                session = self._idle.pop() if self._idle else self._open_session(token)
            except PKCS11Error as error:
                if _is_loss(error):
                    self._forget()
                raise
            self._in_use += 1
            return session

    def _open_session(self, token: pkcs11.Token) -> Session:
        # In a session without a login the private keys would merely seem not to exist.
        if self._login is not None:
            _prove_alive(self._login)
        return Session(token, self._began)

    def _open_token(self) -> pkcs11.Token:
        """Find the token and log in, from the very beginning: some libraries recover only so."""
        if time.monotonic() < self._refused_until:
            raise HsmError(self._refusal)
        try:
            self._token = self._log_in(self._find_token())
        except HsmError as error:
            self._refusal = str(error)
            self._refused_until = max(self._refused_until, time.monotonic() + _PAUSE)
            raise
        self._began = time.monotonic()
        return self._token

    def _restart_library(self) -> _Library:
        path = self._settings.module
        try:
            if self._library is None:
                self._library = _Library(str(path))
            else:
                self._library.finalize()
                self._library.initialize()
        except PKCS11Error as error:
            raise HsmError(f"the PKCS#11 library {path} cannot be used: {error}") from error
        return self._library

    def _find_token(self) -> pkcs11.Token:
        label = self._settings.token_label
        for pause in _PAUSES_OF_SEARCH:
            time.sleep(pause)
            # The tokens are looked for anew only by a library that begins anew.
            library = self._restart_library()
            try:
                return library.get_token(token_label=label)
            except pkcs11.NoSuchToken:
                continue
            except PKCS11Error as error:
                raise self._error(error, "find the token") from error
        raise HsmError(f"{self._settings.module} knows no token {label!r}")

    def _log_in(self, token: pkcs11.Token) -> pkcs11.Token:
        label = self._settings.token_label
        try:
            self._login = token.open(user_pin=self._settings.pin)
        except _WRONG_PIN as error:
            self._refused_until = math.inf
            raise HsmError(
                f"the HSM token {label!r} refuses the PIN ({_name(error)}); "
                "it is not tried again before a restart, so as not to lock the token"
            ) from error
        except PKCS11Error as error:
            raise self._error(error, "log in") from error
        return token

    def _forget(self) -> None:
        for session in self._idle:
            session.close()
        self._idle.clear()
        self._login = None
        self._token = None

    def _error(self, error: PKCS11Error, doing: str) -> HsmError:
        reason = "it has no such key" if isinstance(error, pkcs11.NoSuchKey) else _name(error)
        return HsmError(f"the HSM token {self._settings.token_label!r} cannot {doing}: {reason}")


def _prove_alive(session: pkcs11.Session) -> None:
    """Raise what shows that `session` is lost, if it is.

    A search would show it too, but python-pkcs11 then writes to stderr that it cannot end it.
    """
    session.generate_random(64)


def _is_loss(error: BaseException) -> bool:
    # The class itself stands for each return value that python-pkcs11 has no name for:
    # CKR_CRYPTOKI_NOT_INITIALIZED, and the vendors' own.
    return isinstance(error, _LOSSES) or type(error) is PKCS11Error


def _name(error: PKCS11Error) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

"""A message provider that speaks SMPP 3.4: an SMS centre, or an aggregator's gateway."""

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import smpp34

from conf.smpp_settings import SmppSettings
from flows.ports import (
    Log,
    ProviderUnavailable,
    Receipt,
    Submission,
    SubmissionRefused,
    SubmissionUncertain,
    Submitted,
)
from idp.outbound.smpp_messages import Part, kind_of_sender, parts, receipt_of, validity_period

OnReceipt = Callable[[Receipt], Awaitable[None]]

_BIND_SECONDS: Final = 5.0
_UNBIND_SECONDS: Final = 1.0
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0  # seconds until the next try to bind
_INTERNATIONAL, _ISDN = 1, 1  # 5.2.5, 5.2.6: what E.164 is
_STATUSES: Final = {
    value: name for name, value in vars(smpp34).items() if name.startswith("ESME_R")
}
# 5.1.3: what another message would be told too, for a while.
_ITS_OWN_FAULT: Final = frozenset({0x04, 0x08, 0x14, 0x58})  # unbound, broken, full, throttling


class SmppProvider:
    """Keeps one session as a transceiver, and binds again whenever it ends.

    The library sends `enquire_link` every 30 seconds and ends a session without an answer.
    """

    def __init__(self, settings: SmppSettings, on_receipt: OnReceipt, log: Log) -> None:
        """Begin to bind, in the running event loop. `on_receipt` is called for each in turn."""
        self._settings = settings
        self._on_receipt = on_receipt
        self._log = log
        self._window = asyncio.Semaphore(settings.window)
        # Not from the same one in each worker: a phone puts together what has one reference.
        self._references = itertools.count(secrets.randbelow(256))
        self._client = self._new_client()
        self._session: smpp34.Smsc | None = None
        self._bound = asyncio.Event()
        self._failure: str | None = None  # of the last try to bind
        self._keeper = asyncio.create_task(self._keep_bound())

    async def submit(self, submission: Submission) -> Submitted:
        """Hand it over. Raises SubmissionRefused and SubmissionUncertain."""
        if self._failure is not None:
            raise ProviderUnavailable(self._failure)
        # Whoever waits gives up before those in the window do: their places are worth nothing then.
        waiting = self._settings.answer_timeout / 3
        try:
            async with asyncio.timeout(waiting):
                await self._bound.wait()
                await self._window.acquire()
        except TimeoutError:
            raise ProviderUnavailable("there is no session, or no place in its window") from None
        try:
            if self._session is None:
                raise ProviderUnavailable("its session has just ended")
            async with asyncio.timeout(2 * waiting):
                return await self._submit(self._session, submission)
        except TimeoutError:
            raise SubmissionUncertain("no answer came in time") from None
        finally:
            self._window.release()

    async def close(self) -> None:
        """End the session."""
        self._keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeper

    async def _submit(self, session: smpp34.Smsc, submission: Submission) -> Submitted:
        provider_id = None
        for index, part in enumerate(parts(submission.text, next(self._references) % 256)):
            answer = await self._send(session, submission, part)
            if not answer.is_success:
                status = _STATUSES.get(answer.command_status, f"{answer.command_status:#010x}")
                if index:  # the customer may be shown what has been taken
                    raise SubmissionUncertain(f"it refused part {index + 1}: {status}")
                refusal = SubmissionRefused
                if answer.command_status in _ITS_OWN_FAULT:
                    refusal = ProviderUnavailable
                raise refusal(f"it refused: {status}")
            provider_id = answer.message_id
        return Submitted(provider_id or None)

    async def _send(
        self, session: smpp34.Smsc, submission: Submission, part: Part
    ) -> smpp34.SubmitSmResp:
        sender = submission.sender or self._settings.source
        number = (self._settings.source_ton, self._settings.source_npi)
        ton, npi = kind_of_sender(sender, digits=number)
        try:
            return await session.submit_sm(
                submission.phone.removeprefix("+"),
                part.short_message,
                dest_addr_ton=_INTERNATIONAL,
                dest_addr_npi=_ISDN,
                source_addr=sender,
                source_addr_ton=ton,
                source_addr_npi=npi,
                esm_class=part.esm_class,
                data_coding=part.data_coding,
                registered_delivery=part.registered_delivery,
                validity_period=validity_period(submission.valid_for),
            )
        except smpp34.SmppError:
            # The library tells a lost connection and a generic_nack by exceptions alike.
            if not await self._client.is_alive():
                self._forget(session)
            raise SubmissionUncertain("the session ended before an answer came") from None

    async def _keep_bound(self) -> None:
        delay = _FIRST_DELAY
        while True:
            self._client = self._new_client()
            try:
                session = await self._client.connect()
            except smpp34.SmppError as error:
                if self._failure is None:
                    self._log.warning("sms_centre_not_bound", reason=str(error))
                self._failure = f"it cannot be bound to: {error}"
                delay = min(2 * delay, _LONGEST_DELAY)
            else:
                delay = _FIRST_DELAY
                try:
                    await self._serve(session)
                finally:
                    self._forget(session)
                    await _unbind(session)
            finally:
                await self._client.stop()
            await asyncio.sleep(delay)

    async def _serve(self, session: smpp34.Smsc) -> None:
        self._failure = None
        self._session = session
        self._bound.set()
        while isinstance(event := await session.next(), smpp34.DeliverSmEvent):
            receipt = receipt_of(event)
            if receipt is not None:
                await self._take(receipt)

    async def _take(self, receipt: Receipt) -> None:
        try:
            await self._on_receipt(receipt)
        except Exception as error:  # noqa: BLE001  the next receipt must not suffer
            # The SMS centre has its answer already. What is lost is covered as a receipt that
            # never came is.
            self._log.warning("receipt_not_noted", reason=type(error).__name__)

    def _forget(self, session: smpp34.Smsc) -> None:
        if self._session is session:
            self._session = None
            self._bound.clear()

    def _new_client(self) -> smpp34.Client:
        settings = self._settings
        return smpp34.Client(
            settings.host,
            settings.port,
            settings.system_id,
            settings.password,
            bind_type="TRX",
            system_type=settings.system_type,
            tls=settings.tls,
            window_size=settings.window,
            connect_timeout_ms=int(_BIND_SECONDS * 1000),
        )


async def _unbind(session: smpp34.Smsc) -> None:
    with contextlib.suppress(smpp34.SmppError, TimeoutError):
        async with asyncio.timeout(_UNBIND_SECONDS):
            await session.unbind()

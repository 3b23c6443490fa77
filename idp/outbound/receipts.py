"""Receipts: what became of a message, as its provider says by a callback or over its connection."""

import hashlib
import hmac
from collections.abc import Mapping

from conf.delivery import ReceiptRules
from flows.ports import Receipt
from flows.provider import Provider
from idp import metrics
from idp.outbound.readings import Said
from storage.outcomes import Noted

_MOST_RECEIPTS = 500  # the store notes them at once, and does nothing else meanwhile


class Receipts:
    """Tells the store of receipts, of whatever way they came."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def take(self, name: str, *receipts: Receipt) -> None:
        """Note receipts of the message provider `name`. Raises StoreError."""
        answers = await self._provider.store.message_receipts(
            name,
            [(it.provider_id, it.delivered) for it in receipts],
            now=self._provider.clock(),
        )
        for receipt, answer in zip(receipts, answers, strict=True):
            if isinstance(answer, Noted):
                metrics.message(name, "delivered" if receipt.delivered else "undelivered")
        if not all(it.delivered for it in receipts):
            self._provider.outbox.wake()  # the next step is due


def is_authentic(
    rules: ReceiptRules, headers: Mapping[str, str], query: Mapping[str, str], said: bytes
) -> bool:
    """Whether a callback knows the secret; `said` is all that will be read of it."""
    secret = rules.secret.encode()
    if rules.hmac_header is not None:
        expected = hmac.new(secret, said, hashlib.sha256).hexdigest()
        given = headers.get(rules.hmac_header, "").lower().removeprefix("sha256=")
        return hmac.compare_digest(given.encode(), expected.encode())
    given = headers.get(rules.header, "") if rules.header else query.get(rules.parameter or "", "")
    return hmac.compare_digest(given.encode(), secret)


def receipts_of(rules: ReceiptRules, said: Said) -> tuple[list[Receipt], int]:
    """The receipts in a callback, and how many more could not be read.

    Raises ValueError if none could, TooLarge if there are too many to read.
    """
    if rules.each is None:
        receipt = _receipt_of(rules, said)
        return [receipt] if receipt else [], 0
    items, receipts, unread = said.items(rules.each, _MOST_RECEIPTS), [], 0
    for item in items:
        try:
            receipt = _receipt_of(rules, item)
        except ValueError:
            unread += 1
            if unread == len(items):
                raise
        else:
            receipts += [receipt] if receipt else []
    return receipts, unread


def _receipt_of(rules: ReceiptRules, said: Said) -> Receipt | None:
    """What became of one message; None if that is not known yet. Raises ValueError."""
    provider_id, status = said.find(rules.id), said.find(rules.status)
    if provider_id is None or status is None:
        raise ValueError("the callback has no id or no status")
    if status in rules.delivered:
        return Receipt(provider_id, delivered=True)
    if status in rules.failed:
        return Receipt(provider_id, delivered=False)
    return None

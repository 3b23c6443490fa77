"""What a queued message becomes at the moment when it is sent: its code and its text."""

from flows import messages, one_time_code
from flows.clients import Client
from flows.ports import Kind, Submission
from flows.provider import Provider
from storage.records import ClaimedMessage


def submission_of(
    provider: Provider, client: Client, message: ClaimedMessage, kind: Kind
) -> Submission:
    """One step's attempt to reach the customer, the same at every repetition."""
    code = text = ""
    if kind != "flash_call":
        code = one_time_code.code_of(provider, message.challenge_id)
        text = messages.text(
            kind,
            message.locale,
            client.channel,
            code,
            provider.issuer,
            platform=client.platform,
        )
    return Submission(
        submission_id=f"{message.message_id}-{message.step}",
        kind=kind,
        phone=message.phone,
        text=text,
        code=code,
        valid_for=message.valid_for,
        sender=client.channel.messages.sender,
    )


def call_hash(provider: Provider, message: ClaimedMessage, digits: str) -> bytes:
    """What the store compares with the digits that the customer reads off a flash call."""
    return one_time_code.hashes_of(provider, message.journey, digits)[0]

"""One event of the audit trail as one line, for a person or for a program."""

import json

from idp.commands.terminal import moment
from storage.audit_file import line
from storage.records import AuditEvent


def as_text(event: AuditEvent) -> str:
    """Time, number, event, then what else is known: `by=ann@ops1 reason="lost phone"`."""
    fields = {
        "by": event.by,
        "reason": event.reason,
        "sub": event.sub,
        "client_id": event.client_id,
    }
    known = [f"{name}={_plain(value)}" for name, value in fields.items() if value is not None]
    if event.detail is not None:
        known.append(event.detail if event.detail.isprintable() else json.dumps(event.detail))
    return " ".join([moment(event.at), f"#{event.seq}", _plain(event.event), *known])


def as_json(event: AuditEvent) -> str:
    """The fields as a JSON object, as in an archive; `at` is in Unix seconds."""
    return line(event).decode()


def _plain(value: str) -> str:
    # What a terminal would obey, or would take for the next field, is quoted and escaped.
    if value and value.isprintable() and not set(value) & set(' "={'):
        return value
    return json.dumps(value, ensure_ascii=not value.isprintable())

"""Whatever JSON somebody registers is judged, and nothing else happens."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.claims import SCOPES
from flows.client_metadata import (
    AUTH_METHODS,
    OPERATORS_MEMBERS,
    ClientMetadata,
    InvalidClientMetadata,
)
from flows.client_validation import validate
from flows.clients import ClientDocument
from flows.grants.names import GRANT_TYPES
from keys.encryption import CONTENT_ENCRYPTION, KEY_MANAGEMENT
from keys.signing import ALGORITHMS
from tests.flows.test_client_metadata import BAD, EVERYTHING

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
MEMBERS = st.sampled_from(sorted(BAD))
# Texts that are like what the members hold, so that not everything is refused at first sight.
LIKELY = st.sampled_from(
    [
        *("https://a.example/", "https://b.example/cb", "http://127.0.0.1/", "com.example.a:/cb"),
        *("web", "native", "public", "pairwise", "always", "code", "openid", " ".join(SCOPES)),
        *(*AUTH_METHODS, *ALGORITHMS, *GRANT_TYPES, *KEY_MANAGEMENT, *CONTENT_ENCRYPTION, "HS256"),
    ]
)
LIKELY_VALUES = LIKELY | st.lists(LIKELY, max_size=4) | st.booleans() | st.integers(-1, 9)
DOCUMENTS = st.dictionaries(MEMBERS | st.text(), ANY_JSON | LIKELY_VALUES, max_size=12)
PLAUSIBLE = st.builds(
    lambda removed, changed: (
        {name: value for name, value in EVERYTHING.items() if name not in removed} | changed
    ),
    st.sets(st.sampled_from(sorted(EVERYTHING)), max_size=8),
    st.dictionaries(MEMBERS, ANY_JSON | LIKELY_VALUES, max_size=1),
)


def judged(document: dict[str, Any], unknown: Any) -> ClientMetadata | None:
    """The metadata, or None where the document is refused as it should be."""
    try:
        return validate(document, algorithms=ALGORITHMS, development=False, unknown=unknown)
    except InvalidClientMetadata as error:
        faults = error.faults
    assert faults
    for code, description in faults:
        assert code in ("invalid_client_metadata", "invalid_redirect_uri")
        assert description.isascii()
        assert description.isprintable()
    return None


@settings(max_examples=500, deadline=None)
@given(DOCUMENTS | PLAUSIBLE, st.sampled_from(["refused", "ignored"]))
def test_a_document_is_accepted_or_refused(document: dict[str, Any], unknown: str) -> None:
    client = judged(document, unknown)

    if client is not None:
        # What the store will keep is the same when it comes back.
        kept = msgspec.json.encode(ClientDocument(client))
        assert msgspec.json.decode(kept, type=ClientDocument).metadata == client


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(MEMBERS, ANY_JSON | LIKELY_VALUES, min_size=1, max_size=2))
def test_one_member_more_is_accepted_or_refused(changed: dict[str, Any]) -> None:
    partners = {name: it for name, it in EVERYTHING.items() if name not in OPERATORS_MEMBERS}
    client = judged(partners | changed, "ignored")

    if client is not None:
        answered = msgspec.json.decode(msgspec.json.encode(client.registered()))
        # RFC 7592 2.2: an update begins with what the client was told.
        assert judged(answered, "ignored") == judged(answered, "refused") == client


@pytest.mark.parametrize("document", [{}, {"redirect_uris": None}])
def test_an_empty_document_is_refused(document: dict[str, Any]) -> None:
    assert judged(document, "ignored") is None

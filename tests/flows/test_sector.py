"""Who may join a sector says the owner of its `sector_identifier_uri` (OIDC Registration 5)."""

import json

import pytest

from flows.client_metadata import InvalidClientMetadata
from flows.client_validation import validate
from flows.subjects import check_sector
from idp.outbound.fetcher import GuardedFetcher
from keys.signing import ALGORITHMS
from tests.idp.stranger import said, stranger

ONE, TWO = "https://one.example/callback", "https://two.example/callback"


async def check(*redirect_uris: str, answer: bytes, path: str = "/sector.json") -> list[str]:
    """The faults of a client whose sector's document is `answer`."""
    async with stranger(answer) as owner:
        metadata = validate(
            {
                "redirect_uris": list(redirect_uris),
                "subject_type": "pairwise",
                "sector_identifier_uri": f"http://127.0.0.1:{owner.port}{path}",
            },
            algorithms=ALGORITHMS,
            development=True,
        )
        fetcher = GuardedFetcher(development=True)
        try:
            await check_sector(fetcher, metadata)
        except InvalidClientMetadata as error:
            return [f"{code}: {description}" for code, description in error.faults]
        finally:
            fetcher.close()
    assert len(owner.requests) == 1
    return []


def listing(*uris: object) -> bytes:
    return said(json.dumps(uris).encode())


async def test_redirect_uris_that_are_all_listed_belong_to_the_sector() -> None:
    assert await check(ONE, TWO, answer=listing("https://other.example/", TWO, ONE)) == []


async def test_one_that_is_not_listed_belongs_to_nobody() -> None:
    assert await check(ONE, TWO, answer=listing(ONE, TWO + "/", TWO.upper())) == [
        f"invalid_client_metadata: sector_identifier_uri: does not list {TWO}"
    ]


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"null", b'"a"', b"[", b"[1]", b"[null]", b'[["a"]]', b"[" * 9_000, b"\xff"],
)
async def test_the_document_is_an_array_of_texts(body: bytes) -> None:
    assert await check(ONE, answer=said(body)) == [
        "invalid_client_metadata: sector_identifier_uri: does not hold a JSON array of URIs"
    ]


@pytest.mark.parametrize(
    "answer",
    [
        said(status="404 Not Found"),
        said(b"[]", "Content-Type: text/html"),
        said(b"[" + b" " * 70_000 + b"]"),
        said(b"", "Location: https://one.example/sector.json", status="302 Found"),
        b"nonsense",
    ],
)
async def test_a_document_that_cannot_be_had_proves_nothing(answer: bytes) -> None:
    assert await check(ONE, answer=answer) == [
        "invalid_client_metadata: sector_identifier_uri: cannot be fetched"
    ]

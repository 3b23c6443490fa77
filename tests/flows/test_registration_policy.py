"""What no policy lets a partner's client be."""

import pytest

from flows.client_metadata import ClientMetadata
from flows.clients import RegistrationPolicy
from flows.registration_policy import policy_faults

ISSUER = "https://id.example.com"
ANYWHERE = RegistrationPolicy(("openid",), ("authorization_code",))


@pytest.mark.parametrize(
    "uri",
    [
        "https://id.example.com/apps/demo/callback",
        "https://id.example.com/",
        "https://ID.example.com/x",
    ],
)
def test_a_partner_redirects_nobody_to_the_issuer(uri: str) -> None:
    client = ClientMetadata(
        redirect_uris=(uri,),
        post_logout_redirect_uris=(uri,),
        initiate_login_uri=uri,
        scope="openid",
        subject_type="pairwise",
    )

    assert [fault for _, fault in policy_faults(client, ANYWHERE, ISSUER)] == [
        f"{member}: its host is not allowed: {uri}"
        for member in ("redirect_uris", "post_logout_redirect_uris", "initiate_login_uri")
    ]


def test_another_host_is_allowed_where_none_is_named() -> None:
    client = ClientMetadata(
        redirect_uris=("https://partner.example/cb",), scope="openid", subject_type="pairwise"
    )

    assert list(policy_faults(client, ANYWHERE, ISSUER)) == []

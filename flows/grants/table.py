"""The grant types of the token endpoint, one row each."""

from flows.grants.authorization_code import AUTHORIZATION_CODE_GRANT
from flows.grants.client_credentials import CLIENT_CREDENTIALS_GRANT
from flows.grants.grant import Grant
from flows.grants.phone_otp import PHONE_OTP_GRANT
from flows.grants.refresh_token import REFRESH_TOKEN_GRANT

GRANTS: dict[str, Grant] = {
    grant.name: grant
    for grant in (
        AUTHORIZATION_CODE_GRANT,
        REFRESH_TOKEN_GRANT,
        CLIENT_CREDENTIALS_GRANT,
        PHONE_OTP_GRANT,
    )
}

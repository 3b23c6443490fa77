"""The names of the grant types, as clients and discovery say them."""

AUTHORIZATION_CODE = "authorization_code"
REFRESH_TOKEN = "refresh_token"
CLIENT_CREDENTIALS = "client_credentials"
PHONE_OTP = "urn:x5id:oauth:grant-type:phone-otp"

GRANT_TYPES = (AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS, PHONE_OTP)

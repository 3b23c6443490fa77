"""Phone numbers: E.164 everywhere, normalised once at the edge."""

import phonenumbers

HOME_REGION = "RU"
_MAX_LENGTH = 40


def normalise(text: str) -> str | None:
    """A phone number as E.164, or None where it is none; without a country it is a Russian one."""
    if len(text) > _MAX_LENGTH:
        return None
    try:
        number = phonenumbers.parse(text, HOME_REGION)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def mask(phone: str) -> str:
    """A phone number as a page may show it: the country and the last two digits."""
    number = phonenumbers.parse(phone)
    national = phonenumbers.national_significant_number(number)
    hidden = "*" * (len(national) - 5)
    return f"+{number.country_code} {national[:3]} {hidden}{national[-2:]}"

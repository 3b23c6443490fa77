"""Phone numbers: E.164 everywhere, normalised once at the edge."""

import re
from collections.abc import Collection
from functools import lru_cache

import phonenumbers

HOME_REGION = "RU"
_MAX_LENGTH = 40
_MOST_DIGITS = 15  # E.164, which some national plans exceed
# Whose owner pays for a message, or who is no single customer.
_REFUSED = frozenset(
    {
        phonenumbers.PhoneNumberType.PREMIUM_RATE,
        phonenumbers.PhoneNumberType.SHARED_COST,
        phonenumbers.PhoneNumberType.TOLL_FREE,
        phonenumbers.PhoneNumberType.UAN,
        phonenumbers.PhoneNumberType.VOICEMAIL,
    }
)

_MOBILE = frozenset(
    {
        phonenumbers.PhoneNumberType.MOBILE,
        phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,
    }
)
_RANGE = 3  # digits
_IN_HAND = 64  # numbers; each is looked at several times in one request


@lru_cache(_IN_HAND)
def _parsed(text: str) -> phonenumbers.PhoneNumber:
    return phonenumbers.parse(text, HOME_REGION)


@lru_cache(_IN_HAND)
def _type_of(text: str) -> int:
    return phonenumbers.number_type(_parsed(text))


def normalise(text: str) -> str | None:
    """A phone number as E.164, or None where it is none; without a country it is a Russian one."""
    # The library would read letters as the digits of their keys, and parameters of a tel: URI.
    if len(text) > _MAX_LENGTH or any(character.isalpha() for character in text):
        return None
    try:
        number = _parsed(text)
    except phonenumbers.NumberParseException:
        return None
    # A number that lacks its area is "possible" too, in its own town.
    reason = phonenumbers.is_possible_number_with_reason(number)
    if number.extension or reason != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    if _type_of(text) in _REFUSED:
        return None
    phone = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return phone if len(phone) <= 1 + _MOST_DIGITS else None


def may_receive(phone: str, countries: Collection[str], *, mobile_only: bool) -> bool:
    """Whether a number is of the `countries` (ISO 3166; none is any), and a mobile one.

    Where a plan does not tell mobile numbers from others, as in North America, all may be.
    """
    if mobile_only and _type_of(phone) not in _MOBILE:
        return False
    return not countries or phonenumbers.region_code_for_number(_parsed(phone)) in countries


def prefix_of(phone: str) -> str:
    """The country and the operator's range: what the conversion watch counts a number with."""
    number = _parsed(phone)
    national = phonenumbers.national_significant_number(number)
    return f"+{number.country_code}{national[:_RANGE]}"


def is_prefix(text: str) -> bool:
    """Whether numbers can be counted with such a prefix."""
    countries = map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
    return any(re.fullmatch(rf"\+{code}[0-9]{{{_RANGE}}}", text) for code in countries)


def mask(phone: str) -> str:
    """A phone number as a page may show it: the country and the last two digits."""
    number = _parsed(phone)
    national = phonenumbers.national_significant_number(number)
    hidden = "*" * (len(national) - 5)
    return f"+{number.country_code} {national[:3]} {hidden}{national[-2:]}"

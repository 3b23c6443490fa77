"""Reading what the settings say about one-time codes and what their messages are spent on."""

import re
from typing import Final

from conf.decoding import Table
from conf.model import DAY, Limit, Otp, Sending

_COUNTRY: Final = re.compile(r"[A-Z]{2}")


def read_otp(table: Table) -> Otp:
    """Read `[otp]`."""
    standard = Otp()
    limits = {
        name: read_limit(table, name, getattr(standard, name))
        for name in (
            "sends_per_phone",
            "sends_per_address",
            "sends_per_client",
            "sends_per_prefix",
            "sends_per_device",
            "wrong_tries_per_phone",
            "wrong_tries_per_address",
            "wrong_tries_per_client",
        )
    }
    return Otp(
        # Four digits would be taken for the end of the number that a flash call comes from.
        length=table.integer("length", standard.length, 5, 8),
        validity=table.integer("validity_seconds", standard.validity, 1, 600),
        tries=table.integer("tries", standard.tries, 1, 10),
        resend_after=table.integer("resend_after_seconds", standard.resend_after, 0, 600),
        **limits,
    )


def read_sending(table: Table, *, development: bool) -> Sending:
    """Read `[sending]`; in development, where codes are asked for and forgotten, no watch."""
    standard = Sending()
    countries = table.texts("countries")
    for index, country in enumerate(countries):
        if not _COUNTRY.fullmatch(country):
            table.fault(f"countries[{index}]", "must be a country of ISO 3166, such as RU")
    return Sending(
        countries=countries,
        mobile_only=table.boolean("mobile_only", default=standard.mobile_only),
        client_budget=table.integer("client_budget", standard.client_budget, 1, 10**9),
        provider_budget=table.integer("provider_budget", standard.provider_budget, 1, 10**9),
        lowest_conversion=table.number(
            "lowest_conversion", 0.0 if development else standard.lowest_conversion, 0, 0.9
        ),
        hold=table.integer("hold_seconds", standard.hold, 1, DAY),
        proof_of_work_bits=table.integer("proof_of_work_bits", standard.proof_of_work_bits, 1, 24),
    )


def read_limit(parent: Table, name: str, standard: Limit) -> Limit:
    """Read a rate limit."""
    table = parent.table(name)
    return Limit(
        burst=table.integer("burst", standard.burst, 1, 1_000_000),
        period=table.integer("period_seconds", standard.period, 1, 30 * DAY),
    )

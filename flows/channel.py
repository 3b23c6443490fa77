"""A channel as flows see it: how it looks and speaks, and what bounds it sets its clients."""

import dataclasses
from collections.abc import Iterable

import msgspec

from conf.channels import LOCALES, AndroidApp, ChannelLifetimes, IosApp, Messages, Support
from conf.settings import Lifetimes


class Channel(msgspec.Struct, frozen=True):
    """One digital product of the group, or what a partner says of itself.

    `logo` and `favicon` are SVG texts, empty where there is none. With `scopes` or `claims` its
    clients ask for no more than these, whatever they are registered for.
    """

    channel_id: str
    name: dict[str, str]
    locale: str
    color: str
    logo: str
    terms_uri: str
    privacy_uri: str
    title: str = ""  # what operators call it
    favicon: str = ""
    locales: tuple[str, ...] = LOCALES
    support: Support | None = None
    messages: Messages = Messages()
    lifetimes: ChannelLifetimes = ChannelLifetimes()
    scopes: tuple[str, ...] | None = None
    claims: tuple[str, ...] | None = None
    android: AndroidApp | None = None
    ios: IosApp | None = None

    def speaks(self, preferred: Iterable[str]) -> str:
        """The first of the preferred locales that the channel offers, or its own."""
        return next((locale for locale in preferred if locale in self.locales), self.locale)

    def named(self, locale: str) -> str:
        """Its name; in its own locale where it has none for this one (any more)."""
        return self.name.get(locale) or self.name[self.locale]

    def shortened(self, lifetimes: Lifetimes) -> Lifetimes:
        """The installation's lifetimes for this channel's clients: shorter, never longer.

        The keys' rotation counts with the installation's, so a longer one could outlive its key.
        """
        wanted = {
            name: min(value, getattr(lifetimes, name))
            for name, value in dataclasses.asdict(self.lifetimes).items()
            if value is not None and name != "sign_in"
        }
        return dataclasses.replace(lifetimes, **wanted)

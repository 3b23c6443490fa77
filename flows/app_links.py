"""What ties the channels' apps to the provider's host: links that they open, and passkeys.

An app may take back what was asked for at `https://<issuer>/apps/<channel_id>/...` (RFC 8252 7.2),
where nothing of ours is: nobody else can claim it, and a channel needs no host of its own.
"""

from collections.abc import Iterable
from typing import Any

from flows.channel import Channel

# Android's credential manager wants both of them for passkeys.
_RELATIONS = (
    "delegate_permission/common.handle_all_urls",
    "delegate_permission/common.get_login_creds",
)


def asset_links(channels: Iterable[Channel]) -> list[dict[str, Any]]:
    """The statements about Android apps (Digital Asset Links)."""
    return [
        {
            "relation": _RELATIONS,
            "target": {
                "namespace": "android_app",
                "package_name": channel.android.package_name,
                "sha256_cert_fingerprints": channel.android.sha256_cert_fingerprints,
            },
        }
        for channel in channels
        if channel.android is not None
    ]


def app_site_association(channels: Iterable[Channel]) -> dict[str, Any]:
    """The associations with iOS apps (Apple's associated domains)."""
    apps = [(it.channel_id, it.ios.app_id) for it in channels if it.ios is not None]
    return {
        "applinks": {
            "details": [
                {"appIDs": [app_id], "components": [{"/": f"/apps/{channel_id}/*"}]}
                for channel_id, app_id in apps
            ]
        },
        "webcredentials": {"apps": [app_id for _, app_id in apps]},
    }

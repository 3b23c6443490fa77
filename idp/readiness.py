"""Asking our own listener whether it serves."""

import http.client
import ssl

from conf.model import Listen

_TIMEOUT = 5.0
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared with, not listened on


def is_ready(listen: Listen) -> bool:
    """Whether /readyz says that requests are answered."""
    host = _WILDCARDS.get(listen.host, listen.host)
    if listen.tls_cert is None:
        connection = http.client.HTTPConnection(host, listen.port, timeout=_TIMEOUT)
    else:
        connection = http.client.HTTPSConnection(
            host, listen.port, timeout=_TIMEOUT, context=_unverified()
        )
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _unverified() -> ssl.SSLContext:
    # We ask by address, but the certificate bears the public name.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context

"""Whom the server trusts when it connects to others."""

import ssl
from pathlib import Path


def context(ca_file: Path | None) -> ssl.SSLContext:
    """Trust the system's certificate authorities, and those in `ca_file` beside them."""
    trusting = ssl.create_default_context()
    if ca_file is not None:
        trusting.load_verify_locations(ca_file)
    return trusting

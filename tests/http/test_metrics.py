"""What Prometheus is told of requests, up to a second later."""

import re
from collections.abc import Iterator

import pytest

from tests.http.provider import Running
from tests.http.provider import provider as run_provider
from tests.process.processes import eventually


@pytest.fixture(scope="module")
def provider() -> Iterator[Running]:
    """A provider whose every request is of this module."""
    with run_provider() as running:
        yield running


def test_every_request_is_counted_once(provider: Running) -> None:
    seconds = 'idp_request_seconds_{}{{{}method="GET",route="/jwks"}}'
    with provider.client() as client:

        def value(series: str) -> float:
            told = client.get(provider.metrics).text
            found = re.search(f"^{re.escape(series)} (.+)$", told, re.MULTILINE)
            return float(found[1]) if found else 0

        def counted(number: int) -> bool:
            return value('idp_requests_total{method="GET",route="/jwks",status="200"}') == number

        for number in (7, 14):
            for _ in range(7):
                client.get("/jwks")
            eventually(lambda: counted(number), "all are counted")  # noqa: B023 - at once
            assert value(seconds.format("count", "")) == number
            assert value(seconds.format("bucket", 'le="0.002",')) <= number
            assert value(seconds.format("bucket", 'le="+Inf",')) == number
        assert value(seconds.format("sum", "")) > 0
        assert value('idp_store_calls_total{outcome="ok",procedure="revisions_read"}') > 0

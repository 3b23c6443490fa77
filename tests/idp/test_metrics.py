import os
import subprocess
import sys
from pathlib import Path

# A file that must not grow, as on a full disk; the metrics of so many routes need a larger one.
_COUNTING = """
import resource, prometheus_client
from prometheus_client.multiprocess import MultiProcessCollector
from idp import metrics

resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
for number in range(1000):
    metrics.request(f"/{number}", "GET", 200, 0.001)
try:
    metrics.write()
except OSError as error:
    print(error.strerror)
metrics.write()
registry = prometheus_client.CollectorRegistry()
MultiProcessCollector(registry)
print(registry.get_sample_value(
    "idp_requests_total", {"route": "/0", "method": "GET", "status": "200"}
))
"""


def test_what_cannot_be_written_down_is_given_up(tmp_path: Path) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    told = subprocess.run(
        [sys.executable, "-c", _COUNTING],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines() == ["File too large", "1.0"]

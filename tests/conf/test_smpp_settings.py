from pathlib import Path
from typing import Any

import pytest

from conf.decoding import Source, Table
from conf.smpp_settings import SmppSettings, read_smpp

LEAST: dict[str, Any] = {"host": "smsc.example.com", "system_id": "shop", "password": "secret12"}


def read(values: dict[str, Any], **environ: str) -> tuple[SmppSettings, list[str]]:
    """The settings, and the faults of their table."""
    source = Source(Path("/nowhere"), environ)
    root = Table({"smpp": values}, source)
    settings = read_smpp(root.table("smpp"))
    root.close()
    return settings, source.faults


@pytest.mark.parametrize(
    ("more", "port"),
    [({}, 3550), ({"tls": True}, 3550), ({"tls": False}, 2775), ({"port": 9000}, 9000)],
)
def test_what_is_not_said_has_a_default(more: dict[str, Any], port: int) -> None:
    tls = more.get("tls", True)
    expected = SmppSettings("smsc.example.com", port, "shop", "secret12", tls=tls)
    assert read(LEAST | more) == (expected, [])


def test_all_may_be_said() -> None:
    settings, faults = read(
        {
            "host": "2001:db8::1",
            "port": 2775,
            "tls": False,
            "system_id": "shop",
            "password": {"env": "SMPP"},
            "system_type": "cp",
            "source": "Shop 24",
            "source_ton": 3,
            "source_npi": 0,
            "window": 50,
            "answer_timeout_seconds": 2,
        },
        SMPP="secret12",
    )
    assert faults == []
    assert settings == SmppSettings(
        host="2001:db8::1",
        port=2775,
        tls=False,
        system_id="shop",
        password="secret12",
        system_type="cp",
        source="Shop 24",
        source_ton=3,
        source_npi=0,
        window=50,
        answer_timeout=2.0,
    )
    assert "secret12" not in repr(settings)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"host": None}, "smpp.host: is required"),
        ({"host": "[::1]"}, "smpp.host: must be a host name or an IP address"),
        ({"host": "a b"}, "smpp.host: must be a host name or an IP address"),
        ({"port": 0}, "smpp.port: must be 1..65535, a whole number"),
        ({"tls": "yes"}, "smpp.tls: must be true or false"),
        ({"system_id": None}, "smpp.system_id: is required"),
        ({"system_id": "s" * 16}, "smpp.system_id: must be 1 to 15 characters of ASCII"),
        ({"password": None}, "smpp.password: is required"),
        ({"password": "secret123"}, "smpp.password: must have at most 8 characters (SMPP 3.4)"),
        (
            {"password": {"env": "NO"}},
            "smpp.password.env: the environment variable NO is not set",
        ),
        ({"system_type": "t" * 13}, "smpp.system_type: must be 1 to 12 characters of ASCII"),
        ({"source": "Лавка"}, "smpp.source: must be at most 11 Latin letters"),
        ({"source": "A shop or two"}, "smpp.source: must be at most 11 Latin letters"),
        ({"source": "1" * 21}, "smpp.source: must be at most 11 Latin letters"),
        ({"source_ton": 7}, "smpp.source_ton: must be 0..6, a whole number"),
        ({"source_npi": 19}, "smpp.source_npi: must be 0..18, a whole number"),
        ({"window": 0}, "smpp.window: must be 1..1000, a whole number"),
        ({"answer_timeout_seconds": 0.1}, "smpp.answer_timeout_seconds: must be 0.5..30"),
        ({"window_size": 3}, "smpp.window_size: unknown key"),
    ],
)
def test_a_fault_is_told(changed: dict[str, Any], fault: str) -> None:
    _, faults = read(LEAST | changed)
    assert [it[: len(fault)] for it in faults] == [fault]

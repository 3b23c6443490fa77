import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.segments import _DEFAULT, _EXTENSION, segmented

CYRILLIC = "ж"
SMILE = "\N{SLIGHTLY SMILING FACE}"  # beyond the basic plane: two code units
WHOLE = {"gsm-7": 160, "ucs-2": 140}
PART = {"gsm-7": 153, "ucs-2": 134}

texts = st.one_of(
    st.text(max_size=400),
    st.text(st.sampled_from("a€\f{ñ@"), max_size=400),
    st.text(st.sampled_from(f"a€{CYRILLIC}{SMILE}"), max_size=200),
)


@pytest.mark.parametrize(
    ("text", "alphabet", "lengths", "excess"),
    [
        ("", "gsm-7", [0], 0),
        ("a" * 160, "gsm-7", [160], 0),
        ("a" * 161, "gsm-7", [153, 8], 1),
        ("a" * 306, "gsm-7", [153, 153], 146),
        ("a" * 307, "gsm-7", [153, 153, 1], 147),
        ("€" * 80, "gsm-7", [160], 0),
        ("€" * 81, "gsm-7", [152, 10], 2),  # 153 is odd: the pair is not cut
        ("a" * 159 + "€", "gsm-7", [153, 8], 1),
        ("\f^{}\\[~]|€", "gsm-7", [20], 0),
        ("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà", "gsm-7", [44], 0),
        ("ç", "ucs-2", [2], 0),  # only the capital is of the alphabet
        ("`", "ucs-2", [2], 0),
        ("«", "ucs-2", [2], 0),
        ("\x1b", "ucs-2", [2], 0),  # it stands for no character
        (CYRILLIC * 70, "ucs-2", [140], 0),
        (CYRILLIC * 71, "ucs-2", [134, 8], 1),
        ("a" * 70 + CYRILLIC, "ucs-2", [134, 8], 1),
        (CYRILLIC * 134, "ucs-2", [134, 134], 64),
        (CYRILLIC * 135, "ucs-2", [134, 134, 2], 65),
        (SMILE * 35, "ucs-2", [140], 0),
        (SMILE * 36, "ucs-2", [132, 12], 2),  # 67 is odd: the pair is not cut
        (CYRILLIC + SMILE * 35, "ucs-2", [134, 8], 1),
    ],
)
def test_a_text_has_these_segments(
    text: str, alphabet: str, lengths: list[int], excess: int
) -> None:
    sms = segmented(text)
    assert sms.alphabet == alphabet
    assert [len(segment) for segment in sms.segments] == lengths
    assert sms.excess == excess


@pytest.mark.parametrize(
    ("character", "octets"),
    [("@", "00"), ("_", "11"), ("Ξ", "1a"), ("Æ", "1c"), (" ", "20"), ("à", "7f"), ("€", "1b65")],
)
def test_a_character_has_the_code_of_the_alphabet(character: str, octets: str) -> None:
    assert segmented(character).segments == (bytes.fromhex(octets),)


@given(texts)
def test_what_arrives_is_what_was_sent_and_no_character_is_cut(text: str) -> None:
    sms = segmented(text)
    read = _read_gsm_7 if sms.alphabet == "gsm-7" else _read_utf_16
    assert "".join(map(read, sms.segments)) == text


@given(texts)
def test_segments_are_within_their_bounds_and_none_is_wasted(text: str) -> None:
    sms = segmented(text)
    if len(sms.segments) == 1:
        assert len(sms.segments[0]) <= WHOLE[sms.alphabet]
        assert sms.excess == 0
        return
    assert sms.excess > 0
    assert sum(map(len, sms.segments)) > WHOLE[sms.alphabet]
    assert all(0 < len(segment) <= PART[sms.alphabet] for segment in sms.segments)
    longest = {"gsm-7": 2, "ucs-2": 4}[sms.alphabet]
    assert all(len(segment) > PART[sms.alphabet] - longest for segment in sms.segments[:-1])


@given(texts)
def test_ucs_2_is_for_what_the_default_alphabet_lacks(text: str) -> None:
    known = set(_DEFAULT) - {"\x1b"} | set(_EXTENSION)
    assert (segmented(text).alphabet == "gsm-7") == (set(text) <= known)


def _read_gsm_7(octets: bytes) -> str:
    extension = {code[0]: character for character, code in _EXTENSION.items()}
    text, rest = "", iter(octets)
    for octet in rest:
        text += extension[next(rest)] if octet == 0x1B else _DEFAULT[octet]
    return text


def _read_utf_16(octets: bytes) -> str:
    return octets.decode("utf-16-be")

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexi.spine.links import BadLinkError, LinkClaim, Links

NOW = 1_780_000_000_000
LATER = NOW + 86_400_000


def links() -> Links:
    return Links("a secret of the installation", "https://hexi.example/")


def token(url: str) -> str:
    assert url.startswith("https://hexi.example/r/")
    return url.rpartition("/")[2]


def test_what_was_signed_is_read_back():
    url = links().sign("260501-7K3Q-F2ZT:family:1", "260501-7K3Q-F2ZT", "contact:C1", "family", LATER)
    claim = links().read(token(url), NOW)
    assert claim == LinkClaim(
        notice_id="260501-7K3Q-F2ZT:family:1",
        case_id="260501-7K3Q-F2ZT",
        recipient="contact:C1",
        role="family",
        expires=LATER,
    )


@given(st.text(), st.text(), st.text(), st.text(), st.integers(min_value=NOW + 1, max_value=2**53))
def test_any_reference_survives_and_fits_an_address(notice, case, recipient, role, expires):
    signed = token(links().sign(notice, case, recipient, role, expires))
    assert all(c.isascii() and (c.isalnum() or c in "-_.") for c in signed)
    claim = links().read(signed, NOW)
    assert (claim.notice_id, claim.case_id, claim.recipient, claim.role) == (notice, case, recipient, role)


def test_a_link_ends_at_its_very_instant():
    signed = token(links().sign("n", "c", "contact:C1", "family", LATER))
    assert links().read(signed, LATER - 1).case_id == "c"
    with pytest.raises(BadLinkError) as raised:
        links().read(signed, LATER)
    assert raised.value.reason == "expired"


@given(st.data())
def test_a_changed_link_is_forged(data):
    signed = token(links().sign("n", "c", "contact:C1", "family", LATER))
    # The last letter of base64 has bits that say nothing: changing only those changes nothing.
    place = data.draw(st.integers(0, len(signed) - 2))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != signed[place]))
    with pytest.raises(BadLinkError) as raised:
        links().read(signed[:place] + other + signed[place + 1 :], NOW)
    assert raised.value.reason == "forged"


@given(st.text(max_size=200))
def test_any_other_text_is_forged(text):
    with pytest.raises(BadLinkError) as raised:
        links().read(text, NOW)
    assert raised.value.reason == "forged"


def test_another_installation_signs_otherwise():
    foreign = Links("another secret", "https://hexi.example").sign("n", "c", "contact:C1", "family", LATER)
    with pytest.raises(BadLinkError):
        links().read(token(foreign), NOW)


def test_an_expired_forgery_is_called_forged():
    foreign = Links("another secret", "https://hexi.example").sign("n", "c", "contact:C1", "family", NOW - 1)
    with pytest.raises(BadLinkError) as raised:
        links().read(token(foreign), NOW)
    assert raised.value.reason == "forged"


def test_links_need_a_secret():
    with pytest.raises(ValueError, match="secret"):
        Links("", "https://hexi.example")

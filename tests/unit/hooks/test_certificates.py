"""Certificates: whom they are for, how long, and whose key it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from codexctl_tasks.hooks.certificates import UnreadableError, read_certificate, read_pair
from tests.support.certificates import Authority, Issued, private_pem

CA = Authority()
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("names", "host", "covered"),
    [
        (["shop.example.com"], "shop.example.com", True),
        (["Shop.Example.com"], "shop.EXAMPLE.com.", True),
        (["other.example.com", "shop.example.com"], "shop.example.com", True),
        (["shop.example.com"], "example.com", False),
        (["*.example.com"], "shop.example.com", True),
        (["*.example.com"], "a.shop.example.com", False),
        (["*.example.com"], "example.com", False),
        (["*.example.com"], "*.example.com", True),
        (["*.shop.example.com"], "*.example.com", False),
        (["*.com"], "example.com", False),
        (["s*.example.com"], "shop.example.com", False),
        (["a.*.example.com"], "a.b.example.com", False),
        (["xn--bcher-kva.example.com"], "bücher.example.com", True),
        (["127.0.0.1", "::1"], "127.0.0.1", True),
        (["127.0.0.1", "::1"], "0:0:0:0:0:0:0:1", True),
        (["127.0.0.1"], "127.0.0.2", False),
    ],
)
def test_a_certificate_covers_what_clients_accept_it_for(
    names: list[str], host: str, *, covered: bool
) -> None:
    """A wildcard stands for one label, as browsers and curl have it."""
    found = read_certificate(CA.issue(*names).certificate)

    assert found.covers(host) is covered


def test_the_common_name_counts_for_nothing() -> None:
    """What every client refuses is not called good."""
    found = read_certificate(CA.issue(name="shop.example.com").certificate)

    assert not found.covers("shop.example.com")
    assert "not for shop.example.com but for no host" in found.doubt(["shop.example.com"], NOW)


def test_the_first_of_a_chain_is_the_certificate() -> None:
    """An intermediate behind it changes nothing, in front of it the file is wrong."""
    middle = Authority("Middle", CA)
    issued = middle.issue("shop.example.com")

    assert read_pair(issued.certificate, issued.key).issuer == "Middle"
    leaf = issued.certificate.removesuffix(middle.certificate)
    with pytest.raises(UnreadableError, match="key belongs to another certificate"):
        read_pair(middle.certificate + leaf, issued.key)


def test_a_certificate_is_good_from_its_first_to_its_last_second() -> None:
    """The borders are those that TLS libraries use, to a second."""
    found = read_certificate(CA.issue("shop.example.com").certificate)
    second = timedelta(seconds=1)

    assert "not valid before" in found.doubt([], found.not_before - second)
    assert found.doubt([], found.not_before) == ""
    assert found.doubt([], found.not_after - second) == ""
    assert f"expired on {found.not_after:%Y-%m-%d}" in found.doubt([], found.not_after)


def test_what_cert_manager_puts_there_meanwhile_is_no_certificate() -> None:
    """Its temporary one covers the host, too, but nobody trusts it."""
    issued = Authority("cert-manager.local").issue("shop.example.com")

    found = read_certificate(issued.certificate)

    assert "temporary" in found.doubt(["shop.example.com"], NOW)


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["rsa", "ec", "ed25519"],
)
def test_keys_of_every_kind_are_recognised(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> None:
    """The pair is found, and a stranger's key is refused."""
    issued = CA.issue("shop.example.com", key=key)
    stranger = CA.issue("shop.example.com").key

    assert read_pair(issued.certificate, issued.key).covers("shop.example.com")
    with pytest.raises(UnreadableError, match="key belongs to another certificate"):
        read_pair(issued.certificate, stranger)


def test_keys_in_the_older_notations_are_read() -> None:
    """What ``openssl ecparam -genkey`` writes begins with the parameters of the curve."""
    key = ec.generate_private_key(ec.SECP256R1())
    issued = CA.issue("shop.example.com", key=key)
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    older = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())

    assert read_pair(issued.certificate, parameters + older).covers("shop.example.com")


def _broken() -> dict[str, tuple[bytes, bytes, str]]:
    good = CA.issue("shop.example.com")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate, private = good.certificate, good.key
    locked = CA.issue("shop.example.com", key=key)
    halved = certificate[: len(certificate) // 2]
    public = CA.certificate
    return {
        "nothing": (b"", b"", "without certificate"),
        "no-key": (certificate, b" \n", "without private key"),
        "garbage": (b"\x00\xff\x01garbage", private, "certificate is unreadable"),
        "cut-off": (halved, private, "certificate is unreadable"),
        "second-cut-off": (certificate + halved, private, "certificate is unreadable"),
        "key-as-certificate": (private, private, "certificate is unreadable"),
        "key-garbage": (certificate, b"swordfish", "private key is unreadable"),
        "key-cut-off": (certificate, private[:80], "private key is unreadable"),
        "certificate-as-key": (certificate, public, "private key is unreadable"),
        "encrypted": (locked.certificate, private_pem(key, b"sesame"), "private key is encrypted"),
    }


@pytest.mark.parametrize("case", _broken())
def test_what_cannot_be_read_is_named_in_few_words(case: str) -> None:
    """The reason never quotes what is in the file."""
    certificate, key, reason = _broken()[case]

    with pytest.raises(UnreadableError) as error:
        read_pair(certificate, key)

    assert reason in str(error.value)
    assert "swordfish" not in str(error.value)


def test_a_certificate_for_many_hosts_is_named_briefly() -> None:
    """A line stays a line, however many names there are."""
    hosts = [f"h{number}.example.com" for number in range(90)]

    found = read_certificate(CA.issue(*hosts).certificate)

    assert found.names == "h0.example.com, h1.example.com and 88 more"


def test_nothing_private_shows_in_a_representation() -> None:
    """What ends up in a traceback holds no key."""
    issued: Issued = CA.issue("shop.example.com")

    assert "PRIVATE KEY" not in repr(read_pair(issued.certificate, issued.key)) + repr(issued)

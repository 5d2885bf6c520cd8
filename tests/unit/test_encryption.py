# SPDX-License-Identifier: Apache-2.0
"""Secrets at rest: opened by their keys and for their purpose only."""

import pytest

from bridge.auth.encryption import Cipher, Undecryptable

OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))


def test_a_secret_is_known_again_and_not_seen_meanwhile() -> None:
    cipher = Cipher([NEW])
    kept = cipher.encrypt("the secret", purpose="p")

    assert cipher.decrypt(kept, purpose="p") == "the secret"
    assert b"secret" not in kept
    assert kept != cipher.encrypt("the secret", purpose="p")


def test_a_key_is_replaced_by_one_that_stands_before_it() -> None:
    of_old = Cipher([OLD]).encrypt("s", purpose="p")
    of_both = Cipher([NEW, OLD]).encrypt("s", purpose="p")

    assert Cipher([NEW, OLD]).decrypt(of_old, purpose="p") == "s"
    assert Cipher([NEW]).decrypt(of_both, purpose="p") == "s"
    with pytest.raises(Undecryptable):
        Cipher([NEW, OTHER]).decrypt(of_old, purpose="p")


def test_a_secret_is_of_no_use_for_another_purpose() -> None:
    cipher = Cipher([NEW])

    with pytest.raises(Undecryptable):
        cipher.decrypt(cipher.encrypt("s", purpose="sigv4 KEY1 client"), purpose="sigv4 KEY2 client")


@pytest.mark.parametrize("length", [0, 1, 5, 13, 20, -1])
def test_a_part_of_it_is_not_opened(length: int) -> None:
    with pytest.raises(Undecryptable):
        Cipher([NEW]).decrypt(Cipher([NEW]).encrypt("s", purpose="p")[:length], purpose="p")


@pytest.mark.parametrize("place", [0, 1, 12, 13, -1])
def test_what_was_tampered_with_is_not_opened(place: int) -> None:
    spoilt = bytearray(Cipher([NEW]).encrypt("s", purpose="p"))
    spoilt[place] ^= 1

    with pytest.raises(Undecryptable):
        Cipher([NEW]).decrypt(bytes(spoilt), purpose="p")

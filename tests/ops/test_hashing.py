"""Hashes of strings, against values recorded from TensorFlow's kernels."""

import numpy as np
import pytest

from gpulayers.ops.hashing import as_bytes, crossed64, fingerprint64, siphash64

BINS = 1000003
# Bytes in hexadecimal, FarmHash modulo BINS, a key, SipHash by it modulo BINS.
RECORDED = [
    (
        "",
        377723,
        (1037017667747, 836022225947),
        932399,
    ),
    (
        "77b076",
        624501,
        (639745018615, 51223955929),
        523824,
    ),
    (
        "aad8619b",
        556925,
        (912269470909, 380812173743),
        962567,
    ),
    (
        "0e755a5c2e8210",
        357128,
        (617425543812, 589482368259),
        521308,
    ),
    (
        "23555182568b96e8",
        868814,
        (52030052671, 847448608282),
        547098,
    ),
    (
        "2ead74c79d15a75fa29b7dab332f7d70",
        103681,
        (47567320258, 24203781812),
        29267,
    ),
    (
        "4e33a727585b4c48a39c369640694810a1",
        888747,
        (345905895591, 555112913242),
        727663,
    ),
    (
        "bcd7cd90092e2e02c489ed8bbef6acc6e93bf7b54ad44b095885bc4193d38493",
        728709,
        (736301287483, 474532872382),
        87583,
    ),
    (
        "2e2042694c750d34814ff532cc5f012dda1a6fd8b11834d63c878e5bf5186d2cc7",
        575674,
        (233986342818, 846749080917),
        416091,
    ),
    (
        "38ada3c3c7942a75e1b2dadcdf885f4d1ba9b4c022a25a4a3a68f477b75268995746ccd9fab31126"
        "0cbc7f4f6dcae38bdaadf6ae291c47f05a2e04210c5d8e63",
        831045,
        (155655679150, 293400845412),
        453816,
    ),
    (
        "94b008e0a205a1c81ae431d8cf3f0805d1b259cf144992d255f0968311c8d24aa557e8c94028c985"
        "c8fa11945189c68c3f82043d36ef4dee7b791573283731133a",
        609362,
        (763710218253, 107863999722),
        560304,
    ),
    (
        "59d90c210a04ecdcbb4a5a1c04bc2a1c3e4a4f0b82706224b0d0b0fcc4618961d27ac26f33a556ce"
        "7aa2be106a53a49be933075fbc67518e523861c0dd9e692190ffec741984a6c84faca8e75632e940"
        "4e00c456433769381cfb72cbb2962e72bc0c30868e949e5ddcfaa4c08fce6ad5b324e49b9dcab30e"
        "914239a5797caf47",
        95362,
        (132878329097, 658102147247),
        90286,
    ),
    (
        "a7dd6f346eb8ff52a0c33976ccdbedca92406ca60c2428a2d81cf83b07ec7cf094c2b3846a1f3f34"
        "3e17295a94d01f2a3a624ae7045e646e6d5301b90c771748553a79d14a6ab11a24bf919c186ef10e"
        "29172cff6d3a3a0910d0e33a1708008333809c52be1b33aeac4dd32e8e2ce0323c1a1924134866d4"
        "9b70912924879de6fd8b",
        425529,
        (233502030938, 376862067811),
        406327,
    ),
]  # fmt: skip
TEXTS = [bytes.fromhex(row[0]) for row in RECORDED]


def test_fingerprints_are_those_of_farmhash():
    numbers = fingerprint64(TEXTS) % np.uint64(BINS)
    assert numbers.tolist() == [row[1] for row in RECORDED]


def test_siphash_with_its_key():
    for text, (_, _, key, expected) in zip(TEXTS, RECORDED, strict=True):
        assert int(siphash64([text], key)[0]) % BINS == expected


def test_many_texts_are_hashed_as_one_by_one():
    texts = [bytes(range(i % 251))[: i % 200] for i in range(0, 600, 7)]
    together = fingerprint64(texts).tolist()
    assert together == [int(fingerprint64([text])[0]) for text in texts]
    together = siphash64(texts, (1, 2)).tolist()
    assert together == [int(siphash64([text], (1, 2))[0]) for text in texts]
    assert fingerprint64([]).tolist() == []


def test_what_is_hashed_of_each_kind():
    assert as_bytes(np.array(["ä", ""])) == ["ä".encode(), b""]
    assert as_bytes(np.array([-12, 3])) == [b"-12", b"3"]
    assert as_bytes(np.array([1.9, -1.9])) == [b"1", b"-1"]
    assert as_bytes(np.array(["a", b"b", 7], object)) == [b"a", b"b", b"7"]
    with pytest.raises(TypeError, match="got None"):
        as_bytes(np.array(["a", None], object))


def test_crossed_numbers_depend_on_their_order():
    a, b = np.array([1, 2], np.uint64), np.array([2, 1], np.uint64)
    one, other = crossed64([a, b]), crossed64([b, a])
    assert one.tolist() == other[::-1].tolist()
    assert one[0] != one[1]

"""Layers of preprocessing with options and inputs drawn at random, for Keras and for here."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

import numpy as np

WORDS = ["the", "The", "cat", "dog", "café", "naïve", "日本", "語", "😀", "👩‍👧", "don't", "e-mail",
         "a_b", "x" * 40, "ﬁ", "İ", "ß", "ΩΩ", "مرحبا", "हिन्दी", "ไทย", "123", "1,000.5", "[UNK]",
         "<s>", "#tag", "!!!", "\u00a0", "\u3000", "Zebra", "ÉCOLE", "end."]  # fmt: skip
GAPS = [" ", " ", " ", "  ", "\t", "\n", " - ", ", "]
INTEGERS = [0, 1, 2, 3, 5, 7, 42, -1, -9, 2**40, 10]
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


class Case(NamedTuple):
    """A layer, what it learns from (None: nothing), and what it is called with in turn."""

    layer: str
    options: dict[str, Any]
    learned: Any
    inputs: list


def draw(kind: str, number: int) -> Case:
    """The case of that number among those of a kind."""
    return KINDS[kind](Random(f"{kind} {number}"))


def here(value):
    """A result of gpulayers as an array of numbers, or as lists and strings."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def outcome(layers, case: Case, plain=here) -> dict:
    """What a library makes of a case.

    Args:
        layers: the module that has the layer.
        plain: makes arrays of numbers, or lists and strings, of its results.

    Gives {"out": a result for each input} and the vocabulary or the boundaries that were learned;
    {"error": the name of an exception} in the place of what raised it.
    """
    try:
        layer = getattr(layers, case.layer)(**case.options)
        if case.learned is not None:
            layer.adapt(case.learned)
    except Exception as error:
        return {"error": type(error).__name__}
    made = {"out": [_called(layer, x, plain) for x in case.inputs]}
    if hasattr(layer, "get_vocabulary"):
        made["vocabulary"] = [plain(word) for word in layer.get_vocabulary()]
    if case.layer == "Discretization":
        made["boundaries"] = np.array(layer.bin_boundaries, np.float64)
    return made


def _called(layer, x, plain):
    try:
        return plain(layer(x))
    except Exception as error:
        return {"error": type(error).__name__}


def differences(case: Case, theirs: dict, ours: dict):
    """Descriptions of what differs between two outcomes; one error is as good as another."""
    outs = [made.get("out", [made] * len(case.inputs)) for made in (theirs, ours)]
    for x, a, b in zip(case.inputs, *outs, strict=True):
        if not _same(a, b, images=getattr(x, "ndim", 0) >= 3):
            yield f"of {_brief(x)}: {_brief(a)}, here {_brief(b)}"
    for key in ("vocabulary", "boundaries"):
        if "out" in theirs and "out" in ours and not _same(theirs.get(key), ours.get(key)):
            yield f"{key}: {_brief(theirs[key])}, here {_brief(ours[key])}"


def _same(a, b, images=False) -> bool:
    """Whether two results are equal; floats and images but for rounding."""
    if isinstance(a, dict) or isinstance(b, dict):
        return isinstance(a, dict) and isinstance(b, dict)  # Both are errors.
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        return type(a) is type(b) and a == b
    if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
        return False
    wide = [x.astype(np.float64) for x in (a, b)]
    if a.dtype.kind == "f":
        close = 1e-4 * max(np.nanmax(np.abs(wide[0]), initial=0, where=np.isfinite(wide[0])), 1)
    else:
        close = images  # Those of integers are rounded from sums.
    return bool(np.allclose(*wide, rtol=1e-5, atol=close, equal_nan=True))


def _brief(value) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name} {value.shape} {value.ravel()[:9].tolist()}"
    return repr(value)[:150]


# Texts and categories.


def _text(r: Random) -> str:
    return "".join(r.choice(WORDS) + r.choice(GAPS) for _ in range(r.randint(0, 7)))


def _some(r: Random, options: dict) -> dict:
    """Some of the options: each a list of what may be chosen."""
    chosen = r.sample(sorted(options), r.randint(0, min(4, len(options))))
    return {name: r.choice(options[name]) for name in chosen}


def _texts(r: Random) -> Case:
    options = _some(r, {
        "max_tokens": [3, 6, 20, 100],
        "standardize": ["lower", "strip_punctuation", None],
        "split": ["character", "whitespace"],
        "ngrams": [1, 2, 3, (2,), (1, 3)],
        "output_mode": ["multi_hot", "count", "tf_idf"],
        "output_sequence_length": [1, 4, 9],
        "pad_to_max_tokens": [True],
        "ragged": [True],
    })  # fmt: skip
    learned = ["the cat", *(_text(r) for _ in range(r.choice([1, 5, 40])))]
    if options.get("output_mode") != "tf_idf" and r.random() < 0.3:
        options["vocabulary"] = r.sample(["the", "cat", "日本", "café", "a b", "e-mail"], 4)
        learned = None
    texts = [_text(r) for _ in range(r.choice([1, 3, 40]))]
    inputs = [texts, [[text] for text in texts]]
    if "output_mode" in options:  # Of a single text, Keras pads no numbers.
        inputs.append(texts[0])
    return Case("TextVectorization", options, learned, inputs)


def _lookup(r: Random, words: list, more: dict) -> tuple[dict, Any, list]:
    options = _some(r, {
        "max_tokens": [4, 8, 30],
        "num_oov_indices": [0, 1, 2, 3],
        "output_mode": ["one_hot", "multi_hot", "count", "tf_idf"],
        "pad_to_max_tokens": [True],
        **more,
    })  # fmt: skip
    if r.random() < 0.6:
        options["vocabulary"] = r.choices(words, k=4) if r.random() < 0.1 else r.sample(words, 5)
        learned = None
        if options.get("output_mode") == "tf_idf":
            options["idf_weights"] = [round(r.random(), 3) for _ in range(5)]
    else:
        learned = [r.choice(words) for _ in range(r.choice([3, 30]))]
        if r.random() < 0.5:
            learned = [learned[i : i + 3] for i in range(0, len(learned), 3)]
    if options.get("output_mode") is None and r.random() < 0.3:
        options["invert"] = True
        return options, learned, [list(range(7)), [[0, 1], [2, 99]]]
    row = [r.choice(words) for _ in range(6)]
    return options, learned, [row, [row[:3], row[3:]], [[word] for word in row], row[0]]


def _strings(r: Random) -> Case:
    words = ["a", "B", "é", "日本", "", "[UNK]", "a b", "😀", "zz", "m"]
    more = {"mask_token": ["", "m", None], "oov_token": ["zz", "?"], "salt": [3]}
    return Case("StringLookup", *_lookup(r, words, more))


def _integers(r: Random) -> Case:
    more = {"mask_token": [0, 7, None], "oov_token": [-1, -9, 42]}
    more["oov_method"] = ["farmhash"]
    return Case("IntegerLookup", *_lookup(r, INTEGERS, more))


def _hashing(r: Random) -> Case:
    options = {"num_bins": r.choice([1, 3, 10, 10**6])}
    options |= _some(r, {"salt": [1, 133, [133, 137], [2**40, 5]],
                         "output_mode": ["int", "one_hot", "multi_hot", "count"]})  # fmt: skip
    words = INTEGERS if r.random() < 0.4 else WORDS
    if options["num_bins"] > 100:
        options.pop("output_mode", None)
    if r.random() < 0.3:
        options["mask_value"] = r.choice(words)
    row = [r.choice(words) for _ in range(6)]
    return Case("Hashing", options, None, [row, [row[:3], row[3:]], [[word] for word in row]])


def _crossing(r: Random) -> Case:
    options = {"num_bins": r.choice([1, 5, 1000])}
    options |= _some(r, {"output_mode": ["int", "one_hot"]})
    pools = [WORDS if r.random() < 0.6 else INTEGERS for _ in range(r.choice([2, 2, 3]))]
    rows = [[r.choice(pool) for _ in range(5)] for pool in pools]
    return Case("HashedCrossing", options, None, [rows, [[[w] for w in row] for row in rows]])


def _encoding(r: Random) -> Case:
    mode = r.choice(["one_hot", "multi_hot", "count"])
    options = {"num_tokens": r.choice([1, 4, 6]), "output_mode": mode}
    x = np.array([r.randrange(options["num_tokens"]) for _ in range(6)])
    dtype = r.choice(["int32", "int64", "float32", "float16"])
    shapes = [(6,), (2, 3), (6, 1), (3, 2, 1)]
    return Case("CategoryEncoding", options, None, [x.reshape(s).astype(dtype) for s in shapes])


# Numbers.


def _values(r: Random, shape, special=()):
    scale = r.choice([1.0, 100.0, 1e-3])
    x = np.array([r.gauss(0.5, 1.0) * scale for _ in range(int(np.prod(shape)))], np.float32)
    for value in special:
        x[r.randrange(len(x))] = value
    return x.reshape(shape)


def _bins(r: Random) -> Case:
    options, learned = _some(r, {"output_mode": ["int", "one_hot", "multi_hot", "count"]}), None
    if r.random() < 0.5:
        options["bin_boundaries"] = r.choice([[0.0, 1.0, 2.5], [-1.0], [0.5, 0.5], [2.0, -1.0]])
    else:
        options["num_bins"] = r.choice([1, 2, 4, 20])
        options |= _some(r, {"epsilon": [0.01, 0.1, 0.5]})
        learned = _values(r, r.choice([(5,), (200,), (40, 3), (3000,)]))
    special = (np.nan, np.inf, -np.inf) if r.random() < 0.3 else ()
    x = _values(r, (6,), special)
    return Case("Discretization", options, learned, [x, x.reshape(2, 3), x.reshape(6, 1)])


def _normalization(r: Random) -> Case:
    options, learned = {"axis": r.choice([-1, None, 1, (1, 2), 2, (-1,)])}, None
    options |= _some(r, {"invert": [True]})
    shape = r.choice([(7, 3), (8, 3, 4), (2, 5, 3, 2)])
    if r.random() < 0.3:
        options |= {"mean": r.choice([2.0, -1.5]), "variance": r.choice([4.0, 0.0, 0.25])}
    else:
        learned = _values(r, shape)
        if r.random() < 0.3:
            learned = learned.astype("int64")
    return Case("Normalization", options, learned, [_values(r, shape), _values(r, shape)[:1]])


def _rescaling(r: Random) -> Case:
    options = {"scale": r.choice([1 / 255, 2.0, [1.0, 0.5, 2.0]])}
    options |= _some(r, {"offset": [-1.0, [0.0, 1.0, 2.0]]})
    images = _images(r, (2, 4, 5, 3))
    return Case("Rescaling", options, None, [images, images[0]])


# Images.


def _images(r: Random, shape):
    x = np.random.default_rng(r.randrange(10**6)).integers(0, 256, shape)
    return x.astype(r.choice(["uint8", "float32", "float16", "int32"]))


def _sized(r: Random) -> dict:
    return {"height": r.choice([1, 4, 7, 12]), "width": r.choice([1, 5, 8, 13])}


def _laid_out(r: Random, options: dict) -> list:
    """A batch, one image and a batch of one, in a layout that is added to the options."""
    shape = [r.choice([1, 6, 9, 11]), r.choice([1, 5, 10]), r.choice([1, 3, 4])]
    if r.random() < 0.4:
        options["data_format"] = "channels_first"
        shape = [shape[2], *shape[:2]]
    else:
        options["data_format"] = "channels_last"
    x = _images(r, (3, *shape))
    return [x, x[0], x[1:2]]


def _resizing(r: Random) -> Case:
    options = _sized(r)
    options |= _some(r, {
        "interpolation": list(INTERPOLATIONS),
        "antialias": [True],
        "crop_to_aspect_ratio": [True],
        "pad_to_aspect_ratio": [True],
        "fill_value": [9.0],
        "fill_mode": ["constant"],
    })  # fmt: skip
    return Case("Resizing", options, None, _laid_out(r, options))


def _center(r: Random) -> Case:
    options = _sized(r)
    return Case("CenterCrop", options, None, _laid_out(r, options))


def _certain(r: Random) -> Case:
    """Layers whose draws cannot differ."""
    name, options = r.choice([
        ("AutoContrast", {}),
        ("Equalization", {"bins": r.choice([4, 64, 256])}),
        ("RandomGrayscale", {"factor": r.choice([0.0, 1.0])}),
        ("RandomInvert", {"factor": (1.0, 1.0)}),
        ("RandomBrightness", {"factor": (0.3, 0.3)}),
        ("RandomContrast", {"factor": (0.0, 0.0)}),
        ("RandomSaturation", {"factor": (0.8, 0.8)}),
        ("RandomHue", {"factor": (0.0, 0.0)}),
        ("RandomSharpness", {"factor": (0.7, 0.7)}),
        ("RandomColorDegeneration", {"factor": (0.6, 0.6)}),
        ("RandomTranslation", {"height_factor": (0.25, 0.25), "width_factor": (-0.2, -0.2)}),
        ("RandomRotation", {"factor": (0.1, 0.1)}),
        ("RandomZoom", {"height_factor": (0.3, 0.3), "width_factor": (-0.2, -0.2)}),
        ("RandomZoom", {"height_factor": (-0.4, -0.4)}),
    ])  # fmt: skip
    options = dict(options)
    colours = ("AutoContrast", "Equalization", "Solarization", "RandomBrightness", "RandomInvert",
               "RandomSaturation", "RandomHue", "RandomSharpness", "RandomContrast",
               "RandomColorDegeneration")  # fmt: skip
    high = 255
    if name in colours:
        high = r.choice([1, 255])
        options["value_range"] = (0, high)
    elif name != "RandomGrayscale":
        options |= _some(r, {"fill_mode": ["reflect", "wrap", "nearest", "constant"],
                             "interpolation": ["nearest"], "fill_value": [3.0]})  # fmt: skip
    shape = [9, 11, 3]
    if name not in ("RandomZoom",) and r.random() < 0.3:
        options["data_format"], shape = "channels_first", [3, 9, 11]
    x = _images(r, (2, *shape))
    if name in ("RandomSaturation", "RandomHue"):  # Of integers Keras makes none.
        x = x.astype("float32")
    if high == 1:
        x = (x / 255).astype("float32")
    return Case(name, options, None, [x, x[0]])


TEXTS = {
    "texts": _texts,
    "strings": _strings,
    "integers": _integers,
    "hashing": _hashing,
    "crossing": _crossing,
    "encoding": _encoding,
}
NUMBERS = {
    "bins": _bins,
    "normalization": _normalization,
    "rescaling": _rescaling,
    "resizing": _resizing,
    "center": _center,
    "certain": _certain,
}
KINDS = TEXTS | NUMBERS

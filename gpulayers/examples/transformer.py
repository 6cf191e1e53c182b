"""Write documentation like Python's own, word by word: `python -m gpulayers.examples.transformer`.

It reads the documentation strings of Python's standard library, which came with the Python that
runs it, and trains a small language model on them: a transformer with rotary positions, in which
heads of queries share keys and look back a few sentences.  Then it writes new ones, twice: with a
key/value cache, which computes only what is new, and without; it says whether the texts are the
same, and how much faster the cache is.  It runs on the GPU if CuPy finds one, else on the CPU, in
one or two minutes.
"""

from __future__ import annotations

import argparse
import ast
import re
import sysconfig
import time
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np

import gpulayers as gl
from gpulayers import layers, ops

END = "\n\n\n"  # Stands between two documentation strings.
SKIPPED = {"ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tests", "turtledemo"}
WORDS = re.compile(r" ?[A-Za-z]+|\n+| +|.")  # With the space before them.
PLAIN = re.compile(r"[a-z ,.'\n]")  # What most of a text in sentences consists of.
BATCH = 8
TEMPERATURE = 0.5  # Below 1, likely pieces are chosen even more often.


def documentation(characters: int) -> str:
    """About so many characters of documentation strings, from modules in an order of their own."""
    root, found, size = Path(sysconfig.get_paths()["stdlib"]), {}, 0
    paths = [*root.glob("*.py"), *root.glob("*/*.py")]
    paths = sorted(p for p in paths if not SKIPPED & {*p.relative_to(root).parts})
    for i in np.random.default_rng(0).permutation(len(paths)):
        for text in strings(paths[i]):
            if text not in found:
                found[text] = True
                size += len(text) + len(END)
        if size > characters:
            break
    return END.join(found)[:characters]


def strings(path: Path):
    """The documentation strings of a module that consist of sentences."""
    try:
        module = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return
    for node in ast.walk(module):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.Module)):
            text = re.sub(r"\n{3,}", "\n\n", ast.get_docstring(node) or "")
            plain = len(PLAIN.findall(text)) > 0.9 * len(text)
            if plain and len(text) > 40 and "___" not in text:
                yield text


class Pieces:
    """Text as numbers of pieces of words; pairs of pieces that are frequent become one piece.

    (Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword units", 2015,
    arXiv:1508.07909.)
    """

    def __init__(self, text: str, pairs: int):
        counts = Counter(WORDS.findall(text))
        self.of_word = {word: tuple(word) if word.strip() else (word,) for word in counts}
        frequency, where = Counter(), defaultdict(set)
        for word, pieces in self.of_word.items():
            for pair in pairwise(pieces):
                frequency[pair] += counts[word]
                where[pair].add(word)
        for _ in range(pairs):
            best = max(frequency, key=frequency.get)
            for word in where.pop(best):
                old = self.of_word[word]
                new = self.of_word[word] = joined(old, best)
                for pair in pairwise(old):
                    frequency[pair] -= counts[word]
                for pair in pairwise(new):
                    frequency[pair] += counts[word]
                    where[pair].add(word)
            del frequency[best]
        self.known = sorted({piece for pieces in self.of_word.values() for piece in pieces})
        self.number = {piece: i for i, piece in enumerate(self.known)}

    def encode(self, text: str) -> np.ndarray:
        """The numbers of the pieces of a text; letters that are not known are left out."""
        pieces = [p for word in WORDS.findall(text) for p in self.of_word.get(word, word)]
        return np.array([self.number[p] for p in pieces if p in self.number], "int32")

    def decode(self, numbers) -> str:
        """The text of such numbers."""
        return "".join(self.known[i] for i in numbers)


def joined(pieces: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    """Pieces of a word with every such pair as one."""
    made = []
    for piece in pieces:
        if made and (made[-1], piece) == pair:
            made[-1] += piece
        else:
            made.append(piece)
    return tuple(made)


class RotaryAttention(layers.GroupQueryAttention):
    """Attention to what is near, of queries and keys that are turned by their positions."""

    def positioned(self, x, positions):
        return ops.rotary_embedding(x, positions)


class Block(gl.Layer):
    """Attention to what came before, then a small network for each position by itself."""

    def __init__(self, size: int, heads: int, window: int, **kwargs):
        super().__init__(**kwargs)
        self.attention = RotaryAttention(
            size // heads, heads, heads // 2, use_bias=False, sliding_window=window
        )
        self.network = gl.Sequential(
            [layers.Dense(4 * size, "gelu"), layers.Dense(size, use_bias=False)]
        )
        self.normalizations = [layers.RMSNormalization() for _ in range(2)]

    def call(self, x, cache=None):
        before = self.normalizations[0](x)
        x = x + self.attention(before, before, use_causal_mask=True, cache=cache)
        return x + self.network(self.normalizations[1](x))


class LanguageModel(gl.Model):
    """How likely each piece is to come next, as logits (batch, length, pieces)."""

    def __init__(self, pieces: int, size: int, depth: int, heads: int, window: int):
        super().__init__(name="language_model")
        self.window = window
        self.embedding = layers.ReversibleEmbedding(pieces, size)
        self.blocks = [Block(size, heads, window) for _ in range(depth)]
        self.normalization = layers.RMSNormalization()

    def call(self, tokens, caches=None):
        x = self.embedding(tokens)
        for block, cache in zip(self.blocks, caches or [None] * len(self.blocks), strict=True):
            x = block(x, cache=cache)
        return self.embedding(self.normalization(x), reverse=True)


def train(model: LanguageModel, tokens: np.ndarray, length: int, steps: int) -> list[float]:
    """Train on random parts of a text; gives the mean loss of each tenth of the way."""
    starts = np.random.default_rng(1).integers(0, len(tokens) - length, BATCH * steps)
    parts = tokens[starts[:, None] + np.arange(length + 1)]
    schedule = gl.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=4e-3, warmup_steps=max(steps // 20, 1)
    )
    loss = gl.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(gl.optimizers.AdamW(schedule, weight_decay=0.02, clipnorm=1.0), loss)
    losses = []
    for part in np.array_split(parts, 10):
        history = model.fit(part[:, :-1], part[:, 1:], BATCH, shuffle=False, verbose=0).history
        losses += history["loss"]
        print(f"  {len(losses)} of 10 parts of the way: loss {losses[-1]:.3f}", flush=True)
    return losses


def write(model, prompt: np.ndarray, count: int, seed: int, cached: bool):
    """Tokens (len(prompt) + count,) that go on from a prompt, and the seconds that it took.

    A cache needs room for what the next piece sees, however long the text becomes.
    """
    rng, tokens, start = np.random.default_rng(seed), prompt.tolist(), time.perf_counter()
    room = model.window + len(prompt)
    caches = [layers.KeyValueCache(room) for _ in model.blocks] if cached else None
    new = tokens
    for _ in range(count):
        logits = model(ops.convert_to_tensor(np.array([new], "int32")), caches=caches)
        likely = ops.convert_to_numpy(logits)[0, -1].astype("float64") / TEMPERATURE
        chances = np.exp(likely - likely.max())
        tokens.append(int(rng.choice(len(chances), p=chances / chances.sum())))
        new = tokens[-1:] if cached else tokens
    return np.array(tokens), time.perf_counter() - start


def main(arguments: list[str] | None = None) -> tuple[list[float], list[str], bool]:
    """Train and write; gives losses, samples, and whether the cache changed nothing."""
    options = parse(arguments)
    if options.device:
        gl.config.set_device(options.device)
    gl.utils.set_random_seed(options.seed)
    text = documentation(options.characters)
    pieces = Pieces(text, options.pairs)
    tokens = pieces.encode(text)
    print(f"{len(text)} characters of documentation: {len(tokens)} pieces, of {len(pieces.known)}.")
    sizes = (options.size, options.depth, options.heads, options.length // 2)
    model = LanguageModel(len(pieces.known), *sizes)
    model(ops.convert_to_tensor(tokens[None, :8]))
    print(
        f"Training on {gl.config.device()}: {model.count_params()} weights, {options.steps} steps."
    )
    begun = time.perf_counter()
    losses = train(model, tokens, options.length, options.steps)
    print(f"  that took {time.perf_counter() - begun:.0f} seconds.")
    samples, same, seconds = [], True, np.zeros(2)
    for number in range(options.samples):
        prompt = pieces.encode(END + "Return")
        how = (options.pieces, options.seed + number)
        (with_cache, fast), (without, slow) = (
            write(model, prompt, *how, cached) for cached in (True, False)
        )
        same, seconds = same and (with_cache == without).all(), seconds + (fast, slow)
        samples.append(pieces.decode(with_cache).strip())
        print(f"\n--- Sample {number + 1} ---\n{samples[-1]}")
    fast, slow = seconds / max(options.samples * options.pieces, 1)
    print(f"\nWithout the cache, the texts are {'the same' if same else 'others'}.")
    print(f"A piece takes {fast * 1e3:.2f} ms with it and {slow * 1e3:.2f} without: ", end="")
    print(f"{slow / fast:.1f} times as fast.")
    return losses, samples, bool(same)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--characters", type=int, default=1_000_000, help="of text to train on")
    parser.add_argument("--pairs", type=int, default=1200, help="of pieces that become one")
    parser.add_argument("--size", type=int, default=128, help="of the vector of a position")
    parser.add_argument("--depth", type=int, default=3, help="how many blocks")
    parser.add_argument("--heads", type=int, default=4, help="of queries; half as many of keys")
    parser.add_argument("--length", type=int, default=128, help="of texts to train on, in pieces")
    parser.add_argument("--steps", type=int, default=1000, help="of training, of 8 texts each")
    parser.add_argument("--samples", type=int, default=3, help="how many texts to write")
    parser.add_argument("--pieces", type=int, default=256, help="of a text that it writes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", help='"cpu", "gpu" or "gpu:1"; the GPU if there is one')
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()

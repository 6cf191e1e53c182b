"""Attention on a GPU: shapes of known models, against the best backend that PyTorch has for each.

Operations are counted as if each product of the definition were computed once, half of them where
it is causal: 2 forward and 5 backward, whatever a kernel computes again.
"""

from __future__ import annotations

import time

from gpu_cases import Floats, Operation, Whole

# (B, heads of queries, heads of keys, queries, keys, size of a head), whether causal, dtypes.
MODELS = {
    "BERT base": ((32, 12, 12, 512, 512, 64), False, ("bfloat16", "float32")),
    "BERT large": ((32, 16, 16, 384, 384, 64), False, ("bfloat16", "float32")),
    "ViT-L/16": ((64, 16, 16, 197, 197, 64), False, ("bfloat16",)),
    "GPT-2": ((8, 12, 12, 1024, 1024, 64), True, ("bfloat16",)),
    "Llama 2 7B": ((2, 32, 32, 4096, 4096, 128), True, ("bfloat16",)),
    "Llama 3 8B": ((1, 32, 8, 8192, 8192, 128), True, ("bfloat16",)),
    "Llama 3 70B": ((1, 64, 8, 4096, 4096, 128), True, ("bfloat16",)),
    "images to 77 words": ((8, 8, 8, 4096, 77, 64), False, ("bfloat16",)),
    "heads of 256": ((2, 8, 8, 4096, 4096, 256), True, ("bfloat16",)),
    "heads of 80": ((32, 16, 16, 577, 577, 80), False, ("bfloat16",)),
}
DECODING = (32, 32, 8, 1, 8192, 128)


def sweep():
    """16k tokens of 2048 numbers, in sequences of several lengths and heads of several sizes."""
    for size in (64, 128, 256):
        for length in (512, 2048, 8192, 16384):
            yield (16384 // length, 2048 // size, 2048 // size, length, length, size)


def tensors(batch, heads, key_heads, length, keys, size):
    """Queries, keys and values."""
    shapes = (length, heads), (keys, key_heads), (keys, key_heads)
    return [Floats((batch, n, h, size)) for n, h in shapes]


def moved(e, batch, heads, key_heads, length, keys, size):
    """Bytes forward (with a float for each query and head) and backward."""
    queries, others = batch * length * heads * size, batch * keys * key_heads * size
    return e * 2 * (queries + others) + 4 * batch * heads * length, e * 4 * (queries + others)


def work(causal):
    """Operations forward and backward, for a shape."""

    def operations(batch, heads, key_heads, length, keys, size):
        forward = 4 * batch * heads * length * keys * size // (1 + causal)
        return forward, forward * 5 // 2

    return operations


class FastestBackend:
    """`scaled_dot_product_attention` of queries, keys and values that lie as ours do.

    Which backend is the fastest, forward or there and back, is tried once for each shape.
    """

    def __init__(self, **options):
        self.options, self.found = options, {}

    def __call__(self, F, query, key, value, *beside):
        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        given = dict(self.options)
        if beside:
            given["attn_mask"] = beside[0]
        if key.shape[1] != query.shape[1]:
            given["enable_gqa"] = True
        kind = (query.shape, key.shape, query.dtype, query.requires_grad)
        if kind not in self.found:
            self.found[kind] = self._fastest(F, query, key, value, given)
        return self._by(self.found[kind], F, query, key, value, given).transpose(1, 2)

    def _by(self, backend, F, query, key, value, given):
        from torch.nn.attention import sdpa_kernel

        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(query, key, value, **given)

    def _fastest(self, F, query, key, value, given):
        from torch.nn.attention import SDPBackend

        times = {}
        for name in ("FLASH_ATTENTION", "CUDNN_ATTENTION", "EFFICIENT_ATTENTION", "MATH"):
            backend = getattr(SDPBackend, name)
            try:
                times[backend] = self._seconds(backend, F, query, key, value, given)
            except RuntimeError:  # It does not have this case, or not the memory for it.
                continue
        return min(times, key=times.get)

    def _seconds(self, backend, F, query, key, value, given):
        import torch

        for timed in (False, True):
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(5 if timed else 2):
                y = self._by(backend, F, query, key, value, given)
                if query.requires_grad:
                    torch.autograd.grad(y, [query, key, value], torch.ones_like(y))
            torch.cuda.synchronize()
        return time.perf_counter() - start


def operations() -> list[Operation]:
    """All that is timed, the most telling first."""
    from gpulayers.ops.attention import attention

    def ours(**options):
        return lambda q, k, v: attention(q, k, v, **options)

    def operation(what, shapes, causal, dtypes=("bfloat16",), **options):
        return Operation(
            "attention", what, shapes, tensors, moved, ours(causal=causal, **options),
            FastestBackend(is_causal=causal, dropout_p=options.get("rate", 0.0)),
            flops=work(causal), dtypes=dtypes,
        )  # fmt: skip

    found = [
        operation(f"attention, {name}", (shape,), causal, dtypes)
        for name, (shape, causal, dtypes) in MODELS.items()
    ]
    found += [
        operation(f"attention{', causal' if causal else ''}", tuple(sweep()), causal)
        for causal in (False, True)
    ]
    bert = (MODELS["BERT base"][0],)
    found.append(operation("attention, dropout", bert, False, rate=0.1, seed=(1, 2)))
    found.append(
        Operation(
            "attention", "attention with a bias", bert,
            lambda *s: [*tensors(*s), Floats((1, s[1], s[3], s[4]))],
            lambda e, *s: tuple(n + e * s[1] * s[3] * s[4] for n in moved(e, *s)), attention,
            FastestBackend(), flops=work(False), dtypes=("bfloat16",),
        )
    )  # fmt: skip
    found.append(
        Operation(
            "attention", "attention, half of each sample padded", bert,
            lambda *s: [*tensors(*s), Whole((s[0],), s[4])], moved,
            lambda q, k, v, lengths: attention(
                q, k, v, None, None, lengths, unseeing="zeros"
            ),
            _padded, flops=work(True), dtypes=("bfloat16",),
        )
    )  # fmt: skip
    found.append(
        Operation(
            "attention", "attention, a query to a long cache", (DECODING,), tensors, moved,
            ours(), FastestBackend(), flops=work(False), dtypes=("bfloat16",),
            directions=("forward",),
        )
    )  # fmt: skip
    return found


def _padded(F, query, key, value, lengths):
    """The same with a mask, as PyTorch takes no lengths."""
    import torch

    places = torch.arange(key.shape[1], device=key.device)
    mask = (places < lengths[:, None])[:, None, None]
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2)

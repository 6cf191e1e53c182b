"""The door to the GPU: kernels are never launched with arguments that they would misread."""

from __future__ import annotations

import csv
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from io import StringIO

import numpy as np
import pytest
import rig
from stand_in_cupy import installed, memory_limit

import gpulayers
from gpulayers.arrays import Tape
from gpulayers.cuda import activation, module, parameters
from gpulayers.cuda.module import Module
from gpulayers.ops.rectifier import relu

SOURCE = """
// Every kind of argument. extern "C" __global__ void commented(int x) {}
#include "common.cuh"
extern "C" __global__ void __launch_bounds__(64) echo(
    const T* __restrict__ x, T* y,  // Arrays.
    long long count, int i, unsigned u, uint64 w, bool flag, float f, double d, A a, double* out) {
  GL_DYN_SMEM(int, room);
  if (threadIdx.x == 0 && blockIdx.x == 0) {
    room[0] = ROOM;
    for (long long e = 0; e < count; e++) y[e] = gl::from<T>(gl::to<A>(x[e]) + (A)1);
    out[0] = i, out[1] = u, out[2] = (double)(w >> 32), out[3] = flag;
    out[4] = f, out[5] = d, out[6] = a, out[7] = room[0];
  }
}
struct Pair { int first, second; };
extern "C" __global__ void pairs_2(Pair pair, const void* any, int* y) {
  if (threadIdx.x == 0) y[0] = pair.first, y[1] = pair.second + (any != 0);
}
"""


@pytest.fixture
def stand_in():
    """The stand-in also where there is a GPU: for what must not happen there."""
    if rig.why_not():
        pytest.skip(rig.why_not())
    with installed(kernels=True) as cupy:
        yield cupy


@pytest.fixture
def echo(cupy, tmp_path, monkeypatch):
    """A kernel that gives back what it gets: echo(x, y, count, ..., shared=4)."""
    (tmp_path / "echo.cu").write_text(SOURCE)
    (tmp_path / "common.cuh").write_text((module.FOLDER / "common.cuh").read_text())
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    module._read.cache_clear()
    yield Module("echo")
    module._read.cache_clear()


def launch(cupy, source, *numbers, dtype="float32", **constants):
    x, y = cupy.asarray(np.arange(3).astype(dtype)), cupy.empty((3,), dtype)
    out = cupy.empty((8,), "float64")
    kernel = source.kernel("echo", **{"T": x.dtype, "ROOM": 5, **constants})
    kernel(1, 32, x, y, 3, *numbers, out, shared=4)
    return y.get(), out.get().tolist()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_arguments_arrive(cupy, echo, dtype):
    numbers = (-3, 2**32 - 1, 2**64 - 1, True, 0.5, 1 / 3, 2)
    y, out = launch(cupy, echo, *numbers, dtype=dtype)
    assert y.tolist() == [1, 2, 3]
    assert out == [-3, 2**32 - 1, 2**32 - 1, 1, 0.5, 1 / 3, 2, 5]


def test_numbers_of_numpy_and_whole_numbers_for_floats_arrive(cupy, echo):
    numbers = (np.int64(7), np.uint8(3), np.int32(1), np.bool_(False), 1, 2, np.float32(0.25))
    assert launch(cupy, echo, *numbers)[1] == [7, 3, 0, 0, 1, 2, 0.25, 5]
    assert launch(cupy, echo, 1, 1, 1, 0, float("inf"), 1, 1)[1][4] == float("inf")


BAD_NUMBERS = [
    (0, 2**31, ValueError, r"i \(int\) must be a whole number from -2147483648 to 2147483647"),
    (0, 1.0, TypeError, r"i \(int\) .* got float 1.0"),
    (0, "1", TypeError, "got str '1'"),
    (0, None, TypeError, "NoneType"),
    (1, -1, ValueError, r"u \(unsigned\) must be a whole number from 0 to 4294967295, got -1"),
    (2, 2**64, ValueError, "w"),
    (3, 0.0, TypeError, "flag"),
    (3, 2, ValueError, r"flag \(bool\) must be True or False, got 2"),
    (4, 1e39, ValueError, r"f \(float\) must be a number of at most 3.4028"),
    (5, "nan", TypeError, r"d \(double\)"),
    (6, np.ones(1), TypeError, r"a \(A\)"),
]


@pytest.mark.parametrize(("place", "value", "error", "message"), BAD_NUMBERS)
def test_numbers_that_do_not_fit_are_refused(cupy, echo, place, value, error, message):
    numbers = [0, 0, 0, False, 0.0, 0.0, 0.0]
    numbers[place] = value
    with pytest.raises(error, match=message):
        launch(cupy, echo, *numbers)


def test_structures_are_passed_by_value_and_none_is_null(cupy, echo):
    kernel = echo.kernel("pairs_2", T="float32", ROOM=1)
    pair, y = np.array((3, 4), dtype="i4,i4").reshape(1), cupy.empty((2,), "i4")
    kernel(1, 32, pair, None, y)
    assert y.get().tolist() == [3, 4]
    kernel(1, 32, pair, cupy.asarray(np.ones(1, "f2")), y)
    assert y.get().tolist() == [3, 5]
    with pytest.raises(TypeError, match="pair"):
        kernel(1, 32, 5, None, y)


def forward(cupy, **changes):
    """activation_forward with one argument changed."""
    x = cupy.asarray(np.ones((2, 3), "f4"))
    kernel = activation._kernel("activation_forward", np.dtype("f4"), "RELU", False)
    given = {"grid": 1, "block": 256, "x": x, "bias": None, "y": cupy.empty((2, 3), "f4"), "n": 6}
    given |= {"width": 1, "a": 0.0, "b": 0.0, "c": 0.0} | changes
    grid, block = given.pop("grid"), given.pop("block")
    kernel(grid, block, *given.values())
    return given["y"]


def test_arrays_that_a_kernel_would_misread_are_refused(cupy):
    ones = np.ones((2, 3), "f4")
    assert forward(cupy).get().tolist() == ones.tolist()
    with pytest.raises(
        TypeError, match=r"activation_forward: x \(T\*\) must be float32, got float64"
    ):
        forward(cupy, x=cupy.asarray(ones.astype("f8")))
    with pytest.raises(TypeError, match=r"x \(T\*\) must be a CuPy array, got ndarray"):
        forward(cupy, x=ones)
    with pytest.raises(
        ValueError, match=r"x .* must be C-contiguous, got a view of shape \(3, 2\)"
    ):
        forward(cupy, x=cupy.asarray(ones).T)
    with pytest.raises(TypeError, match="takes 8 arguments, got 9"):
        forward(cupy, more=1)


def test_arrays_of_another_device_are_refused(stand_in):
    with stand_in.cuda.Device(1):
        x = stand_in.asarray(np.ones((2, 3), "f4"))
    with pytest.raises(ValueError, match="must be on the current device, GPU 0, .* GPU 1"):
        forward(stand_in, x=x)


def test_each_device_has_its_own_kernels(stand_in):
    for i in (0, 1, 0):
        with stand_in.cuda.Device(i):
            y = relu(stand_in.asarray(np.array([-1.0, 2.0], "f4")))
            assert y.device.id == i
            assert y.get().tolist() == [0, 2]


def test_grids_and_blocks(cupy):
    for empty in (0, (0,), (0, 5), (3, 0)):
        y = forward(cupy, grid=empty, y=cupy.asarray(np.full((2, 3), 7, "f4")))
        assert (y.get() == 7).all()
    for grid in (2**31, (1, 65536), (1, 1, 65536), (-1,), (1, 1, 1, 1)):
        with pytest.raises(ValueError, match="expected a grid of at most"):
            forward(cupy, grid=grid)
    for block in (0, 1025, (32, 33), (1, 1, 1, 1)):
        with pytest.raises(ValueError, match="expected 1 to 1024 threads"):
            forward(cupy, block=block)


def test_shared_memory_is_asked_for_and_limited(cupy, echo):
    out, x = cupy.empty((8,), "f8"), cupy.asarray(np.zeros(1, "f4"))
    kernel = echo.kernel("echo", T="float32", ROOM=5)
    limit = module.shared_memory_limit()
    for size in (60 * 1024, limit, 16):
        kernel(1, 32, x, x, 0, 0, 0, 0, False, 0.0, 0.0, 0.0, out, shared=size)
    with pytest.raises(ValueError, match=rf"echo: needs {limit + 1} bytes .* has {limit}"):
        kernel(1, 32, x, x, 0, 0, 0, 0, False, 0.0, 0.0, 0.0, out, shared=limit + 1)


def test_constants_and_kernels_that_do_not_exist_are_refused(cupy, echo):
    with pytest.raises(ValueError, match=r"echo.cu has no kernel nothing: only echo, pairs_2"):
        echo.kernel("nothing", T="float32")
    with pytest.raises(TypeError, match=r"no type for complex64 \(T\)"):
        echo.kernel("echo", T=np.dtype("complex64"), ROOM=1)


def test_a_kernel_is_compiled_once_for_its_constants(cupy, echo, monkeypatch):
    made = []
    monkeypatch.setattr(module, "_compile", lambda *args: made.append(args) or FakeModule())
    with ThreadPoolExecutor(8) as pool:
        kernels = list(pool.map(lambda i: echo.kernel("echo", T="float32", ROOM=i % 2), range(64)))
    assert len(made) == 2
    assert len({id(k) for k in kernels}) == 2
    echo.kernel("pairs_2", T="float32", ROOM=0)
    assert len(made) == 2


class FakeModule:
    def get_function(self, name):
        return name


def failing(cupy, monkeypatch, error):
    def raising(**options):
        raise error

    monkeypatch.setattr(cupy, "RawModule", raising)
    return Module("partial_sums")


@pytest.mark.parametrize("name", module.TOO_OLD)
def test_a_driver_that_is_too_old(stand_in, monkeypatch, name):
    error = stand_in.cuda.driver.CUDADriverError(f"CUDA_ERROR_{name}: ...")
    source = failing(stand_in, monkeypatch, error)
    with pytest.raises(
        RuntimeError, match=rf"partial_sums\(T=float32\): .*{name}.* Update the driver"
    ):
        source.kernel("partial_sums", T="float32")


def test_no_compiler(stand_in, monkeypatch):
    def missing():
        raise ImportError("libnvrtc.so.13")

    monkeypatch.setattr(stand_in.cuda.nvrtc, "getVersion", missing)
    source = failing(stand_in, monkeypatch, ImportError("libnvrtc.so.13"))
    with pytest.raises(RuntimeError, match=r"cannot be compiled: .*NVRTC is missing.* pip install"):
        source.kernel("partial_sums", T="float32")


def test_other_errors_of_the_compiler_stay_as_they_are(stand_in, monkeypatch):
    source = failing(stand_in, monkeypatch, stand_in.cuda.compiler.CompileException("line 3"))
    with pytest.raises(stand_in.cuda.compiler.CompileException, match="line 3"):
        source.kernel("partial_sums", T="float32")


def test_out_of_memory_says_who_and_how_much_and_leaves_weights_alone(stand_in):
    layer = gpulayers.layers.Dense(4, activation="gelu")
    x = stand_in.asarray(np.ones((1000, 8), "f4"))
    layer(x[:2])
    before = [w.numpy() for w in layer.weights]
    with (
        memory_limit(5000),
        pytest.raises(stand_in.cuda.memory.OutOfMemoryError) as caught,
        Tape(),
    ):
        gpulayers.ops.silu(x)
    assert "activation: no GPU memory for 32,000 bytes" in str(caught.value)
    assert "shape (1000, 8), float32" in str(caught.value)
    assert all(np.array_equal(a, w.numpy()) for a, w in zip(before, layer.weights))


def test_long_compilations_are_announced(monkeypatch):
    progress = module._Progress()
    monkeypatch.setattr(sys, "stderr", StringIO())
    for seconds in (0.9, 0.4, 0.3):
        progress.before("softmax(T=float32)")
        progress.after(seconds)
    assert sys.stderr.getvalue() == (
        "gpulayers: compiling GPU kernels, once for this machine: softmax(T=float32) "
        "(2 done, 1 s)\n"
    )


@pytest.mark.parametrize("stem", module.available())
def test_every_source_has_instances_and_measured_kernels(stem):
    launcher = import_module(f"gpulayers.cuda.{stem}")
    instances = [*launcher.INSTANCES, *getattr(launcher, "HOPPER_INSTANCES", ())]
    assert instances
    kernels = parameters.signatures(launcher._source.source())
    with (module.FOLDER / "registers.csv").open(newline="") as file:
        measured = {row["kernel"] for row in csv.DictReader(file)}
    assert kernels.keys() <= measured
    for constants in instances:
        for name in kernels:
            assert launcher._source.parameters(name, constants)


def test_sources_are_read_by_all_of_their_constants():
    text = activation._source.text({"T": "bfloat16", "ACTIVATION": "GELU", "BIAS": True})
    lines = text.splitlines()
    assert "typedef bfloat16 T;" in lines
    assert "#define BIAS 1" in lines
    assert '#line 1 "activation.cu"' in lines
    assert "common.cuh" not in text.partition('#line 1 "activation.cu"')[2]


def test_other_headers_are_pasted(cupy, tmp_path, monkeypatch):
    source = '// A header.\n#include "common.cuh"\n#include "twice.cuh"\n'
    kernel = 'extern "C" __global__ void twice(T* x) { if (!threadIdx.x) x[0] = doubled(x[0]); }'
    (tmp_path / "twice.cu").write_text(source + kernel)
    (tmp_path / "twice.cuh").write_text("GL_DEVICE T doubled(T x) { return x + x; }\n")
    (tmp_path / "common.cuh").write_text((module.FOLDER / "common.cuh").read_text())
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    module._read.cache_clear()
    try:
        made = Module("twice")
        assert made.source().endswith(f'\n#line 4 "twice.cu"\n{kernel}')  # As it lies in the file.
        x = cupy.asarray(np.ones(1, "f4"))
        made.kernel("twice", T=x.dtype)(1, 32, x)
        assert x.get()[0] == 2
    finally:
        module._read.cache_clear()

"""What compiles loops, without regard to what they compute."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

from gpulayers import config, jit


@jit.part
def doubled(value):
    return value + value


@jit.kernel("out")
def scale(x, offset, out, factor, first, last):
    for i in range(first, last):
        y = doubled(x[i]) * factor
        if offset is not None:
            y += offset[i]
        out[i] = y


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("with_offset", [False, True])
def test_a_kernel_computes(dtype, with_offset):
    x = np.arange(5, dtype=dtype)
    out, offset = np.zeros_like(x), x * 10 if with_offset else None
    x.flags.writeable = False
    scale(x, offset, out, 0.5, 1, 4)
    np.testing.assert_array_equal(out[1:4], x[1:4] * (11 if with_offset else 1))
    assert out[0] == out[4] == 0
    assert scale.ready(x, offset, out, 0.5, 1, 4) is scale.ready(x, offset, out, 2.5, 0, 1)


def test_only_what_is_named_is_written():
    x = np.arange(5.0)
    x.flags.writeable = False
    with pytest.raises(TypeError, match="No matching definition"):
        scale(np.ones(5), None, x, 0.5, 0, 5)


def test_views_are_refused():
    x = np.ones((5, 2))
    with pytest.raises(TypeError, match="No matching definition"):
        scale(x[:, 0], None, np.zeros(5), 0.5, 0, 5)


def test_who_takes_what(monkeypatch):
    large, small = np.zeros(jit.LEAST, "float32"), np.zeros(3, "float32")
    monkeypatch.setitem(config._settings, "jit", None)
    assert jit.takes(large) == jit.installed()
    assert not jit.takes(small)
    assert jit.takes(small, least=3) == jit.installed()
    assert not jit.takes(large, large.astype("float64"))
    assert not jit.takes(large.astype("float16"))
    config.set_jit(False)
    assert not jit.takes(large)
    config.set_jit(True)
    assert jit.takes(small, None, small)
    assert not jit.takes(small.astype(int))


def test_settings_are_checked():
    with pytest.raises(TypeError, match="set_jit: expected None, True or False, got 'yes'"):
        config.set_jit("yes")


def test_without_numba(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    before = config.jit()
    with pytest.raises(ModuleNotFoundError, match="numba"):
        config.set_jit(True)
    assert config.jit() == before
    jit.installed.cache_clear()
    monkeypatch.setitem(config._settings, "jit", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not jit.takes(np.zeros(jit.LEAST))
    monkeypatch.undo()
    jit.installed.cache_clear()


def test_numba_is_not_loaded_for_little():
    code = """if True:
        import sys, numpy as np, gpulayers as gl
        model = gl.Sequential([gl.Input((4,)), gl.layers.Dense(3), gl.layers.LayerNormalization()])
        model.predict(np.ones((2, 4)), verbose=0)
        assert "numba" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not done.returncode, done.stderr


@jit.kernel("y")
def shifted(x, y, by):
    for i in range(len(y)):
        y[i] = x[i] if by is None else x[i] + by


def test_threads_call_what_others_compile_more_of():
    x, wrong, go = np.arange(4.0), [], threading.Event()
    shifted(x, np.empty(4), 1.0)

    def work():
        go.wait()
        while not wrong and len(shifted._made) < 3:
            y = np.empty(4)
            try:
                shifted(x, y, 1.0)
            except Exception as error:
                wrong.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    go.set()
    shifted(x.astype("f4"), np.empty(4, "f4"), 1.0)
    shifted(x, np.empty(4), None)
    thread.join()
    assert not wrong


def test_what_is_kept_on_disk_is_compiled_again_after_a_change_in_any_file(monkeypatch):
    x, y = np.arange(4.0), np.empty(4)

    def found_on_disk():
        kernel = jit.Kernel(scale.function, scale.written)
        return sum(kernel.ready(x, None, y, 0.5, 1, 4).stats.cache_hits.values())

    found_on_disk()
    assert found_on_disk() == 1
    monkeypatch.setattr(jit, "_sources", lambda: (("elementary.py", 0, 0),))
    assert found_on_disk() == 0

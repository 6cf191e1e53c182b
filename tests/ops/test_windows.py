"""Windows against values of scipy.signal.get_window 1.17."""

import numpy as np
import pytest

from gpulayers.ops.windows import window

# name: the first half of the symmetric window of size 7, of that of size 6.
EXPECTED = {
    "barthann": ((0, 0.27, 0.73, 1), (0, 0.358573542, 0.879426458)),
    "bartlett": ((0, 0.333333333, 0.666666667, 1), (0, 0.4, 0.8)),
    "blackman": ((0, 0.13, 0.63, 1), (0, 0.200770143, 0.849229857)),
    "blackmanharris": ((6e-05, 0.055645, 0.520575, 1), (6e-05, 0.103011489, 0.793833511)),
    "bohman": ((0, 0.108997781, 0.608997781, 1), (0, 0.179123894, 0.834311452)),
    "boxcar": ((1, 1, 1, 1), (1, 1, 1)),
    "cosine": ((0.222520934, 0.623489802, 0.900968868, 1), (0.258819045, 0.707106781, 0.965925826)),
    "exponential": ((0.04978707, 0.13533528, 0.36787944, 1), (0.082085, 0.22313016, 0.60653066)),
    "flattop": ((-0.00042105, -0.05126316, 0.19821053, 1), (-0.00042105, -0.06771425, 0.60687215)),
    "hamming": ((0.08, 0.31, 0.77, 1), (0.08, 0.397852183, 0.912147817)),
    "hann": ((0, 0.25, 0.75, 1), (0, 0.345491503, 0.904508497)),
    "lanczos": ((0, 0.413496672, 0.826993343, 1), (0, 0.504551152, 0.935489284)),
    "nuttall": ((0.0003628, 0.0613345, 0.5292298, 1), (0.0003628, 0.110515253, 0.798258097)),
    "parzen": ((0.005830904, 0.157434402, 0.650145773, 1), (0.009259259, 0.25, 0.861111111)),
    "taylor": ((0.290095313, 0.578212601, 0.878008225, 1), (0.306346927, 0.662064779, 0.957002127)),
    "triang": ((0.25, 0.5, 0.75, 1), (0.166666667, 0.5, 0.833333333)),
    "tukey": ((0, 0.75, 1, 1), (0, 0.904508497, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_windows(name):
    odd, even = EXPECTED[name]
    symmetric = [*odd, *odd[2::-1]]
    np.testing.assert_allclose(window(name, 7), symmetric, atol=1e-8)
    np.testing.assert_allclose(window(name, 6), [*even, *even[::-1]], atol=1e-8)
    np.testing.assert_allclose(window(name, 6, periodic=True), symmetric[:6], atol=1e-8)
    assert window(name, 1).tolist() == [1.0]
    assert window(name, 0).shape == (0,)


def test_other_names_of_windows():
    assert (window("hanning", 9) == window("hann", 9)).all()
    with pytest.raises(ValueError, match=r"expected one of barthann, .*, got 'unknown'"):
        window("unknown", 9)

#!/usr/bin/env sh
# Beside other frameworks: files to and from real Keras, with all of keras.applications, and modules
# of PyTorch, JAX and Flax as layers, and the other way, and ONNX files: `ci/test_frameworks.sh`.
# Makes .venv-frameworks beside the sources (2 GB); some minutes.  `ci/test_frameworks.sh tensorflow`
# tests SavedModels instead, in .venv-tensorflow.
set -eu
cd "$(dirname "$0")/.."
kind=frameworks
[ "${1:-}" = tensorflow ] && kind=tensorflow && shift
bin=.venv-$kind/bin
[ -x $bin/pip ] || "${PYTHON:-python3}" -m venv .venv-$kind
install="$bin/pip install --quiet --disable-pip-version-check"
if [ $kind = tensorflow ]; then
    $install --editable '.[test]' tensorflow-cpu
    exec $bin/python -m pytest tests/frameworks/test_tensorflow.py "$@"
fi
$install torch==2.13.0
$install --editable '.[test,onnx]' keras==3.15.1 jax flax onnxruntime
exec $bin/python -m pytest tests/frameworks "$@"

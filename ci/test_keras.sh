#!/usr/bin/env sh
# Files to and from real Keras, with all of keras.applications: `ci/test_keras.sh`.
# Makes .venv-keras beside the sources, with Keras 3.15 and PyTorch (1 GB); a minute or two then.
set -eu
cd "$(dirname "$0")/.."
bin=.venv-keras/bin
[ -x $bin/pip ] || "${PYTHON:-python3}" -m venv .venv-keras
$bin/pip install --quiet --disable-pip-version-check torch==2.13.0
$bin/pip install --quiet --disable-pip-version-check --editable '.[test]' keras==3.15.1
exec $bin/python -m pytest tests/with_keras "$@"

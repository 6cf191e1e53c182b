#!/usr/bin/env sh
# All that must hold before a change lands: `ci/test.sh`, or `ci/test.sh tests/layers -k dense`.
# Makes .venv beside the sources, and needs Python 3.11 or newer (PYTHON=python3.13 chooses one)
# and a package index.
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin
[ -x $bin/pip ] || "${PYTHON:-python3}" -m venv .venv
$bin/pip install --quiet --disable-pip-version-check --editable '.[test,bench]'

echo "Lint"
$bin/ruff check --quiet .
$bin/ruff format --quiet --check .
echo "Tests"
# One thread of linear algebra for each test process: there is a process for every core.
OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $bin/python -m pytest -n auto "$@"
echo "GPU kernels"
$bin/python ci/compile_kernels.py
echo "Benchmarks"
$bin/python ci/check_benchmarks.py
echo "All passed."

#!/usr/bin/env sh
# Everything that must hold before a change lands: install, lint, tests, benchmarks that load.
# Needs Python 3.11 or newer and a package index; makes .venv beside the sources.
set -eu
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check --editable '.[test,bench]'
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/python -m pytest -n auto "$@"
.venv/bin/python ci/check_benchmarks.py

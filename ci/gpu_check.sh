#!/usr/bin/env sh
# All that can be checked on a machine with an NVIDIA GPU and CuPy, in eight minutes, without a
# network: `ci/gpu_check.sh [FOLDER] [--only tests|memory|races|bench]`.  It installs nothing and
# says what is missing; PYTHON=... chooses the interpreter.  See gpu_check.py.
set -eu
here=$(dirname "$0")
python=${PYTHON:-python3}
if [ -z "${PYTHON:-}" ] && "$here/../.venv/bin/python" -c "import cupy" 2>/dev/null; then
    python="$here/../.venv/bin/python"
fi
exec "$python" "$here/gpu_check.py" "$@"

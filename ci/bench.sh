#!/usr/bin/env sh
# Whether a commit is slower than another: `ci/bench.sh BASE HEAD [BENCHMARKS]`.
# Builds both in environments of their own, measures them in turns, and fails if a benchmark of HEAD
# takes over 10 % more time, or memory, than that of BASE, and not by chance.  BENCHMARKS is a
# regular expression for asv: "convolution", or "whole_models.*time_training_step.*LSTM".  Without
# it: what Python costs in calls and in training, and small networks, some minutes.
# Environments and results stay in .asv for the next time; ASV is the command of asv.
set -eu
[ $# -ge 2 ] || { sed -n '2,7s/^# //p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
base=$(git -C "$root" rev-parse --verify "$1^{commit}")
head=$(git -C "$root" rev-parse --verify "$2^{commit}")
wanted=${3:-"^classifier|^tape|whole_models.Rows|^core.*Dense|^activation.*Softmax|^optimizers.*(Adam|SGD)"}
asv=${ASV:-$root/.venv/bin/python -m asv}
home=$root/.asv/home
mkdir -p "$home"
# asv keeps its description of the machine in the home directory: not in yours.
export PIP_CACHE_DIR="${PIP_CACHE_DIR:-$HOME/.cache/pip}" HOME="$home"
cd "$root/asv_benchmarks"
$asv machine --yes >/dev/null
exec $asv continuous --factor 1.1 --only-changed --show-stderr --interleave-rounds \
    --attribute rounds=3 --bench "$wanted" "$base" "$head"

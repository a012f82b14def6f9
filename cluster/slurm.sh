#!/usr/bin/env bash
# `sbatch cluster/slurm.sh sweeps/paper_table2.yaml`: a Ray cluster on the machines that Slurm gives, one sweep on it, and
# away again. What follows the file goes to `moedsr sweep` as well. Submitted again with --resume (or by Slurm itself, after
# a machine was lost or the time was up) the sweep goes on where it stood.
#
# The repository lies on storage that all machines see, with its .venv (make setup, on a machine with a GPU), and so does
# MOEDSR_HOME. MLFLOW_TRACKING_URI, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD come from your environment.
#
#SBATCH --job-name=moedsr
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --mem=256G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@180
set -euo pipefail

[ $# -ge 1 ] || { echo "usage: sbatch cluster/slurm.sh FILE.yaml [options of moedsr sweep]" >&2; exit 2; }
sweep=$1
shift
cd "${SLURM_SUBMIT_DIR:?started by sbatch only}"
[ -f "$sweep" ] || { echo "no sweep file $sweep in $SLURM_SUBMIT_DIR" >&2; exit 2; }
[ -x .venv/bin/ray ] || { echo "no .venv in $SLURM_SUBMIT_DIR: run make setup there first" >&2; exit 2; }
export PATH="$PWD/.venv/bin:$PATH"
export MOEDSR_HOME=${MOEDSR_HOME:-$PWD/results} MOEDSR_CACHE=${MOEDSR_CACHE:-$PWD/results/cache}

# Only who knows the token may use the cluster; other users' jobs share these machines and their network.
umask 077
mkdir -p "$MOEDSR_HOME"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$MOEDSR_HOME/.ray-token-$SLURM_JOB_ID"
python -c 'import secrets; print(secrets.token_hex(32))' >"$RAY_AUTH_TOKEN_PATH"

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
port=$((20000 + SLURM_JOB_ID % 10000)) # several jobs of one user may meet on a machine
cpus=${SLURM_CPUS_PER_TASK:-$(nproc)}
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')

tasks=()
# shellcheck disable=SC2317 # the trap calls it
finish() {
    for task in "${tasks[@]}"; do
        kill "$task" 2>/dev/null || true
    done
    wait || true
    rm -f "$RAY_AUTH_TOKEN_PATH"
}
trap finish EXIT

# `--block` ties a machine's Ray to its srun task, so that both end together; no machine shows its dashboard to the network.
start() { # start NODE ARGUMENTS…
    local node=$1
    shift
    srun --nodes=1 --ntasks=1 --exact --nodelist="$node" \
        ray start "$@" --num-cpus="$cpus" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" --block &
    tasks+=($!)
}
start "$head" --head --node-ip-address="$address" --port="$port" --dashboard-host=127.0.0.1
until ray health-check --address "$address:$port" 2>/dev/null; do
    kill -0 "${tasks[0]}" 2>/dev/null || { echo "Ray's head on $head did not start; see above" >&2; exit 1; }
    sleep 2
done
for node in "${nodes[@]:1}"; do
    start "$node" --address="$address:$port"
done

# A sweep runs as many trials at once as fit the machines that are there when it starts.
python - "$address:$port" "${#nodes[@]}" <<'PYTHON'
import sys, time, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
deadline = time.monotonic() + 300
while (up := sum(node["Alive"] for node in ray.nodes())) < int(sys.argv[2]) and time.monotonic() < deadline:
    time.sleep(2)
print(f"{up} of {sys.argv[2]} machines are up", flush=True)
PYTHON

name=$(sed -n 's/^name: *//p' "$sweep")
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] && compgen -G "$MOEDSR_HOME/sweeps/$name*" >/dev/null; then
    set -- --resume "$@"
fi
# Slurm's TERM three minutes before the end reaches this script alone: it is passed on, and the sweep saves itself.
moedsr sweep "$sweep" --address "$address:$port" "$@" &
driver=$!
trap 'kill -TERM "$driver" 2>/dev/null || true' TERM
status=0
wait "$driver" || status=$?
while kill -0 "$driver" 2>/dev/null; do # a signal ends `wait`, not the sweep
    status=0
    wait "$driver" || status=$?
done
exit "$status"

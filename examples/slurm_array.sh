#!/bin/bash
# One run over the tasks of a Slurm array: task I of N computes shard I/N of the run directory.
#
#   sbatch --array=0-99 examples/slurm_array.sh 100 --gin_file=configs/nasbench101_cifar10.gin \
#       --run_dir=/shared/runs/cifar10
#   python -m launchers.status --run_dir=/shared/runs/cifar10
#
# Submit it from the top of the tree, with the environment active. The first argument is N, the same
# for all tasks; the others go to launchers.nngp_inference. --array lists the I, from 0 to N - 1
# (0-99%20: 20 at a time; Slurm counts to 1000 unless its MaxArraySize says otherwise). The run
# directory is one that all nodes have. Flags of sbatch take the place of the settings below.
#
# A lost task: submit its I again, with the same N and the same flags; it goes on after its last row.
# On another node than before, the launcher refuses a shard, with exit code 2, until its process has
# given no sign of life for two minutes; Slurm waits as long before it starts a requeued task.
#
#   sbatch --array=17 examples/slurm_array.sh 100 --gin_file=... --run_dir=...

#SBATCH --job-name=nngp
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=1-00:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=nngp-%A_%a.log

# Not SLURM_ARRAY_TASK_COUNT, which is 1 where one index is submitted again.
if [[ ! ${1:-} =~ ^[1-9][0-9]*$ || -z ${SLURM_ARRAY_TASK_ID:-} ]]; then
  echo "usage: sbatch --array=0-99 examples/slurm_array.sh 100 --gin_file=... --run_dir=..." >&2
  exit 2
fi
number=$1
shift

export TF_NUM_INTRAOP_THREADS=${TF_NUM_INTRAOP_THREADS:-${SLURM_CPUS_PER_TASK:-1}}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}
exec python -m launchers.nngp_inference --shard="$SLURM_ARRAY_TASK_ID/$number" "$@"

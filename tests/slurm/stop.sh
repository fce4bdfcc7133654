#!/bin/bash
# stop.sh BASE: cancel all jobs of the cluster, then end exactly the daemons that start.sh recorded.
set -uo pipefail
BASE=$1
export SLURM_CONF=$BASE/etc/slurm.conf
[ -s "$BASE/run/pids" ] || exit 0
same() { # PID START: the recorded process lives, and it is no later one of the same number
    [ "$(awk '{ sub(/.*\) /, ""); if ($1 != "Z") print $20 }' "/proc/$1/stat" 2> /dev/null)" = "$2" ]
}
timeout 10 scancel --user="$(id -un)"
for _ in {1..100}; do
    [ -z "$(timeout 5 squeue -h)" ] && break
    sleep 0.1
done
tac "$BASE/run/pids" | while read -r pid start; do
    [ "$pid" != $$ ] && same "$pid" "$start" || continue
    kill -TERM "$pid"
    for _ in {1..50}; do
        same "$pid" "$start" || continue 2
        sleep 0.1
    done
    kill -KILL "$pid"
done
rm "$BASE/run/pids"

#!/bin/bash
# start.sh BASE PORT: a private SLURM of three nodes on this host, without systemd and without privileges.
# It listens on 127.0.0.1, PORT to PORT+3, and stops itself after half an hour. Exit status 77: not here.
set -euo pipefail
BASE=$(realpath -m "$1") PORT=$2 HERE=$(dirname "$(realpath "$0")") HOST=$(hostname -s)
export PATH=$PATH:/usr/sbin SLURM_CONF=$BASE/etc/slurm.conf
case $(getent ahostsv4 "$HOST" | awk 'NR == 1 { print $1 }') in
127.*) ;;
*) echo "this host's name, $HOST, does not resolve to 127.*, where srun listens" >&2; exit 77 ;;
esac
umask 022
mkdir -p "$BASE"/{bin,etc,log,state,run,spool.n1,spool.n2,spool.n3}
sed -e "s#@BASE@#$BASE#g; s#@HOST@#$HOST#g; s#@USER@#$(id -un)#g; s#@PORT@#$PORT#g" \
    -e "s#@FIRST@#$((PORT + 1))#g; s#@LAST@#$((PORT + 3))#g" "$HERE/slurm.conf.in" > "$SLURM_CONF"
echo "NodeName=n[1-3] Name=gpu File=/dev/null" > "$BASE/etc/gres.conf" # a GPU needs a file that exists

# The plugin's job step drops SLURM_CONF from the environment, so srun has to find it by itself.
printf '#!/bin/sh\nexport SLURM_CONF=%s\nexec /usr/bin/srun "$@"\n' "$SLURM_CONF" > "$BASE/bin/srun"
# Without a database sacct always fails, and the plugin, which falls back to it, would forget its jobs.
# This one answers the question for states from slurmctld, and that for the efficiency report with nothing.
cat > "$BASE/bin/sacct" <<'END'
#!/bin/sh
case "$*" in *JobIdRaw,State*) ;; *) exit 0 ;; esac
while [ "$1" != --name ]; do shift; done
exec squeue --noheader --states=all --name "$2" --format '%A|%T'
END
chmod 755 "$BASE"/bin/*
(umask 077 && head -c 1024 /dev/urandom > "$BASE/etc/munge.key")

launch() { # NAME COMMAND...: a daemon in a session of its own; its process id and start time are recorded
    local name=$1
    shift
    setsid nice -n 15 "$@" >> "$BASE/log/$name.out" 2>&1 < /dev/null &
    echo "$! $(awk '{ sub(/.*\) /, ""); print $20 }' /proc/$!/stat)" >> "$BASE/run/pids"
}
wait_for() { # WHAT COMMAND...: up to 20 s
    local what=$1
    shift
    for _ in {1..200}; do
        timeout 5 "$@" > /dev/null 2>&1 && return
        sleep 0.1
    done
    echo "no $what after 20 s; see $BASE/log" >&2
    "$HERE/stop.sh" "$BASE"
    exit 1
}
launch watchdog bash -c 'for _ in {1..1800}; do sleep 1; done; exec "$0" "$1"' "$HERE/stop.sh" "$BASE"
# --force: munged else refuses to work below a directory of another user, such as /tmp
launch munged munged --force --foreground --key-file="$BASE/etc/munge.key" \
    --socket="$BASE/run/munge.sock" --pid-file="$BASE/run/munged.pid" \
    --log-file="$BASE/log/munged.log" --seed-file="$BASE/run/munged.seed"
wait_for munged munge -n -S "$BASE/run/munge.sock"
launch slurmctld slurmctld -D -f "$SLURM_CONF"
wait_for slurmctld scontrol ping
for node in n1 n2 n3; do launch slurmd.$node slurmd -D -f "$SLURM_CONF" -N $node; done
wait_for "three idle nodes" bash -c '[ "$(sinfo -hN -t idle -o %N | sort -u | wc -l)" = 3 ]'
wait_for srun srun -n1 true # the first one may fail to connect

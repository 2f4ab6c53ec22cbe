#!/bin/bash
# The story that ferryd was written for: a worker eats memory until the kernel kills it, in the middle of a transfer.  Shows what an
# operator reads of it: the worker's memory in the metrics, the cause in the log, the death in the counters, the task in the database.
# The worker is the real one; tests/system/hog.c, loaded into it, is the leak.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
SIZE_MIB=${SIZE_MIB:-256}
KEY=video/a.mp4
. tests/demo/stage.sh

stage_database
stage_cos
rate 0
head -c "$((SIZE_MIB << 20))" /dev/urandom >"$DIR/big"
put_cos "$DIR/big" $KEY
note "put inside: $KEY ($SIZE_MIB MiB of random bytes)"

bold "ferryd, one worker of 64 MiB, which leaks once it has read a third of the object"
HOG=$DIR/bin/hogging-worker
cp "$BUILD/tests/preload_exec" "$HOG"
cp "$BUILD/tests/hog.so" "$DIR/bin"
cat >"$HOG.env" <<ENV
WORKER=$DIR/bin/ferry-worker
LD_PRELOAD=$DIR/bin/hog.so
HOG_TRIGGER=$DIR/bin/hog.trigger
HOG_AFTER=$(((SIZE_MIB << 20) / 3))
LEAK_MS=60
ENV
printf 1 >"$DIR/bin/hog.trigger"
chmod 666 "$DIR/bin/hog.trigger"
METRICS=127.0.0.1:$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => {
    console.log(s.address().port);
    s.close();
});')
cat >"$DIR/run/ferryd.conf" <<CONF
database = "host=$DIR/sock dbname=ferry user=$PGUSER"
user     = "$ACCOUNT"
pidfile  = "$DIR/run/ferryd.pid"
log      = "$DIR/run/ferryd.log"
workers  = 1
worker_program = "$HOG"
worker {
    memory    = "64M"
    streams   = 4
    part_size = "16M"
}
metrics {
    listen = "$METRICS"
}
$(outside_store inside $INSIDE)
$(outside_store outside $OUTSIDE)
CONF
stage_ferryd
scrape() { curl --noproxy '*' -fsS "http://$METRICS/metrics" 2>/dev/null; }
serves() { scrape | grep -q '^ferry_worker_memory_bytes{'; }
wait_for 30 "the metrics of the worker" serves

bold "one row from psql"
rate $((32 << 20))
sql -e -c "INSERT INTO ferry.task (source, destination) VALUES ('inside://$INSIDE/$KEY', 'outside://$OUTSIDE/$KEY')"

bold "ferry_worker_memory_bytes of http://$METRICS/metrics, until the task ends"
# Prints one line: the worker's memory against its cap.
sample() {
	scrape | awk -F '[ {]' -v cells=32 '
	    $1 == "ferry_worker_memory_bytes" { now = $NF; seen = 1 }
	    $1 == "ferry_worker_memory_cap_bytes" { cap = $NF }
	    END {
	        if (!seen || cap <= 0) {
	            print "   worker 1  is being started"
	            exit
	        }
	        for (i = 0; i < cells; i++)
	            bar = bar (i < cells * now / cap ? "█" : "░")
	        printf "   worker 1  %s  %4.1f MiB of %.1f MiB\n", bar, now / 1048576, cap / 1048576
	    }'
}
watch_memory() { # watch_memory WHAT COMMAND...: until the command succeeds
	local end=$((SECONDS + 180)) what=$1
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || die "waited in vain for $what"
		sample || note "the metrics gave no answer"
		sleep 0.5
	done
}
died() { grep -q 'killed: out of memory' "$DIR/run/ferryd.log"; }
watch_memory "the kernel to kill the worker" died
rate $((64 << 20))
watch_memory "the end of the task" finished
counted() { scrape | grep -qx 'ferry_worker_deaths_total{cause="out_of_memory"} 1'; }
wait_for 30 "the death in the metrics" counted

bold "the log names the cause, and what happens next"
line=$(grep -o 'msg="worker 1 (pid [0-9]*) killed: out of memory[^"]*"' "$DIR/run/ferryd.log") || die "the log does not name the cause"
note "$line"

bold "the metrics count it: http://$METRICS/metrics"
scrape | grep '^ferry_worker_deaths_total' | sed 's/^/   /'

bold "the task resumed and is done: ferryctl show 1"
"$DIR/bin/ferryctl" show 1 | sed 's/^/   /'
[ "$(value "SELECT state = 'done' AND ooms = 1 AND crashes = 0 AND attempt = 0 FROM ferry.task")" = t ] ||
    die "the task is not done after one death for memory"
compare_checksums "$DIR/big" $KEY 1

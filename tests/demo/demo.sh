#!/bin/bash
# Shows ferryd at work: starts a private PostgreSQL, stores on loopback and ferryd, inserts rows with psql, kills a worker in the middle
# of a transfer, and compares checksums at the end.  All files are in one temporary directory; the script always takes everything down.
#
#   demo.sh          the source is a COS endpoint        demo.sh ceph     the source is a real Ceph gateway
set -eu -o pipefail
cd "$(dirname "$0")/../.."
SOURCE=${1:-cos}
SIZE_MIB=${SIZE_MIB:-512}
BIG=video/大文件.mp4
case $SOURCE in cos | ceph) ;; *) echo "demo: STORE=$SOURCE? It is cos (the default) or ceph" >&2; exit 64 ;; esac
. tests/demo/stage.sh

stage_database
stage_cos

head -c "$((SIZE_MIB << 20))" /dev/urandom >"$DIR/big"
printf 'ferryd' >"$DIR/small"
if [ "$SOURCE" = ceph ]; then
	bold "the source: a real Ceph gateway (one monitor, one OSD, one radosgw)"
	eval "$(CEPH_DEV_BUCKETS=uploads bash tests/ceph-dev.sh up "$DIR/ceph")"
	note "inside: $RGW_ENDPOINT"
	# A pre-signed PUT needs openssl and curl only.
	put() { # put FILE KEY ENCODED_KEY
		local expires signature
		expires=$(($(date +%s) + 600))
		signature=$(printf 'PUT\n\n\n%s\n/uploads/%s' $expires "$3" | openssl dgst -sha1 -hmac "$AWS_SECRET_ACCESS_KEY" -binary |
		    base64 | sed 's/+/%2B/g; s#/#%2F#g; s/=/%3D/g')
		curl --noproxy '*' -fsS -X PUT -H 'Content-Type:' -T "$1" \
		    "$RGW_ENDPOINT/uploads/$3?AWSAccessKeyId=$AWS_ACCESS_KEY_ID&Expires=$expires&Signature=$signature"
	}
	BUCKET=uploads
	printf '%s\n' "$AWS_SECRET_ACCESS_KEY" >"$DIR/run/ceph.secret"
	inside_store() {
		cat <<-CONF
		store "inside" {
		    kind       = "s3"
		    endpoint   = "$RGW_ENDPOINT"
		    region     = "default"
		    addressing = "path"
		    access_key = "$AWS_ACCESS_KEY_ID"
		    secret_key_file = "$DIR/run/ceph.secret"
		}
		CONF
	}
else
	BUCKET=$INSIDE
	put() { put_cos "$@"; }
	inside_store() { outside_store inside $INSIDE; }
fi
put "$DIR/big" "$BIG" "video/%E5%A4%A7%E6%96%87%E4%BB%B6.mp4"
for i in 1 2 3; do put "$DIR/small" "small-$i" "small-$i"; done
note "put inside: $BIG ($SIZE_MIB MiB of random bytes) and three small objects"

bold "ferryd, two workers of 64 MiB"
cat >"$DIR/run/ferryd.conf" <<CONF
database = "host=$DIR/sock dbname=ferry user=$PGUSER"
user     = "$ACCOUNT"
pidfile  = "$DIR/run/ferryd.pid"
log      = "$DIR/run/ferryd.log"
workers  = 2
worker {
    memory    = "64M"
    streams   = 4
    part_size = "16M"
}
$(inside_store)
$(outside_store outside $OUTSIDE)
CONF
stage_ferryd

bold "rows from psql"
rate $((64 << 20))
sql -e <<SQL
INSERT INTO ferry.task (source, destination)
VALUES ('inside://$BUCKET/$BIG', 'outside://$OUTSIDE/$BIG');
INSERT INTO ferry.task (source, destination)
SELECT 'inside://$BUCKET/small-' || i, 'outside://$OUTSIDE/small-' || i FROM generate_series(1, 3) i;
SQL

moved() { [ "$(value "SELECT coalesce(bytes_done, 0) > $((SIZE_MIB << 20)) / 3 FROM ferry.task WHERE id = 1")" = t ]; }
wait_for 60 "a third of the object" moved
VICTIM=$(pgrep -P "$(cat "$DIR/run/ferryd.pid")" -f 'ferry-worker.*task 1 ' | head -n 1)
[ -n "$VICTIM" ] || die "no worker carries task 1"
bold "kill -9 $VICTIM, the worker that carries task 1"
kill -9 "$VICTIM"
sleep 1
rate 0

wait_for 120 "all tasks" finished
sleep 0.5

bold "the rows"
sql -c "SELECT id, state, attempt, crashes, bytes_done, verified_by, crc64, peak_memory FROM ferry.task ORDER BY id"
[ "$(value "SELECT count(*) FROM ferry.task WHERE state = 'done'")" = 4 ] || die "not all tasks are done"
grep -q "(pid $VICTIM) killed by SIGKILL.*task requeued, resumes at part" "$DIR/run/ferryd.log" || die "the log does not name the kill"

compare_checksums "$DIR/big" "$BIG" 1

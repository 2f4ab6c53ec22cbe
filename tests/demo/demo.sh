#!/bin/bash
# Shows ferryd at work: starts a private PostgreSQL, stores on loopback and ferryd, inserts rows with psql, kills a worker in the middle
# of a transfer, and compares checksums at the end.  All files are in one temporary directory; the script always takes everything down.
#
#   demo.sh          the source is a COS endpoint        demo.sh ceph     the source is a real Ceph gateway
set -eu -o pipefail
cd "$(dirname "$0")/../.."
TOP=$PWD
SOURCE=${1:-cos}
BUILD=${BUILD:-build}
SIZE_MIB=${SIZE_MIB:-512}
BIG=video/大文件.mp4
INSIDE=inside-1250000000
OUTSIDE=outside-1250000000
DOMAIN=cos.ap-guangzhou.myqcloud.com
case $SOURCE in cos | ceph) ;; *) echo "demo: STORE=$SOURCE? It is cos (the default) or ceph" >&2; exit 64 ;; esac

DIR=$(mktemp -d "${TMPDIR:-/tmp}/ferryd-demo.XXXXXX")
PGBIN=$(pg_config --bindir)
bold() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
note() { printf '   %s\n' "$*"; }
die() { echo "demo: $*" >&2; exit 1; }

# PostgreSQL refuses to run as root, and so should ferryd: as root both run as the account "postgres".
if [ "$(id -u)" -eq 0 ]; then
	ACCOUNT=postgres
	as_account() { (cd / && exec runuser -u postgres -- "$@"); }
else
	ACCOUNT=$(id -un)
	as_account() { "$@"; }
fi

TAIL=
NODE=
cleanup() {
	code=$?
	trap - EXIT INT TERM
	set +e
	master=$(cat "$DIR/run/ferryd.pid" 2>/dev/null) # ferryd removes this file as it exits
	[ -z "$master" ] || kill -TERM "$master" 2>/dev/null
	[ -z "$TAIL" ] || kill "$TAIL" 2>/dev/null
	for _ in $(seq 100); do [ -n "$master" ] && kill -0 "$master" 2>/dev/null || break; sleep 0.1; done
	[ -z "$NODE" ] || kill "$NODE" 2>/dev/null
	[ ! -d "$DIR/ceph" ] || bash tests/ceph-dev.sh down "$DIR/ceph"
	[ ! -s "$DIR/pg/postmaster.pid" ] || as_account "$PGBIN/pg_ctl" -s -D "$DIR/pg" -m fast stop
	if [ $code -ne 0 ] && [ -s "$DIR/run/ferryd.log" ]; then
		echo "demo: failed; the last lines of the log:" >&2
		tail -n 20 "$DIR/run/ferryd.log" >&2
	fi
	rm -rf "$DIR"
	[ $code -ne 0 ] || bold "all processes are stopped again"
	exit $code
}
trap cleanup EXIT
trap 'exit 130' INT TERM

sql() { psql -X -q -h "$DIR/sock" -d ferry -v ON_ERROR_STOP=1 "$@"; }
value() { sql -At -c "$1"; }
wait_for() { # wait_for SECONDS WHAT COMMAND...
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@"; do
		[ $SECONDS -lt $end ] || die "waited in vain for $what"
		sleep 0.1
	done
}

bold "a private PostgreSQL"
mkdir "$DIR/sock" "$DIR/run" "$DIR/pg" "$DIR/bin"
cp "$BUILD/ferryd" "$BUILD/ferry-worker" "$BUILD/ferryctl" "$DIR/bin"
chown -R "$ACCOUNT" "$DIR"
chmod 755 "$DIR"
export PGUSER=ferry_demo
as_account "$PGBIN/initdb" -D "$DIR/pg" -U $PGUSER -A trust --no-sync >/dev/null
as_account "$PGBIN/pg_ctl" -s -D "$DIR/pg" -l "$DIR/run/postgres.log" -o "-k $DIR/sock -c listen_addresses=''" -w start
psql -X -q -h "$DIR/sock" -d postgres -c 'CREATE DATABASE ferry'
export FERRYCTL_DATABASE="host=$DIR/sock dbname=ferry user=$PGUSER" FERRY_SCHEMA_DIR="$TOP/etc"
"$DIR/bin/ferryctl" migrate

bold "stores on loopback: a COS endpoint that checks signatures with the vendor's own client"
mkdir "$DIR/cos"
: >"$DIR/cos.ports"
node tests/servers/cos/main.js --dir "$DIR/cos" --bucket $INSIDE --bucket $OUTSIDE --key AKIDdemo:demosecret \
    >"$DIR/cos.ports" </dev/null &
NODE=$!
wait_for 10 "the COS endpoint" test -s "$DIR/cos.ports"
COS_PORT=$(sed 's/.*"port":\([0-9]*\).*/\1/' "$DIR/cos.ports")
CONTROL=http://127.0.0.1:$(sed 's/.*"control":\([0-9]*\).*/\1/' "$DIR/cos.ports")
note "outside: http://$OUTSIDE.$DOMAIN:$COS_PORT"

head -c "$((SIZE_MIB << 20))" /dev/urandom >"$DIR/big"
printf 'ferryd' >"$DIR/small"
printf 'demosecret\n' >"$DIR/run/cos.secret"
outside_store() {
	cat <<-CONF
	store "$1" {
	    kind       = "cos"
	    endpoint   = "http://$DOMAIN:$COS_PORT"
	    region     = "ap-guangzhou"
	    access_key = "AKIDdemo"
	    secret_key_file = "$DIR/run/cos.secret"
	    resolve    = {"$2.$DOMAIN:$COS_PORT:127.0.0.1"}
	}
	CONF
}
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
	put() { node tests/demo/put.js "$COS_PORT" $INSIDE AKIDdemo demosecret "$1" "$2"; }
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
chown -R "$ACCOUNT" "$DIR/run"
chmod 600 "$DIR"/run/*.secret
: >"$DIR/run/ferryd.log"
chown "$ACCOUNT" "$DIR/run/ferryd.log"
tail -n +1 -F "$DIR/run/ferryd.log" 2>/dev/null | sed -u "s/^\(.\{400\}\).*/\1.../" &
TAIL=$!
"$DIR/bin/ferryd" -f "$DIR/run/ferryd.conf"

bold "rows from psql"
curl -fsS -X POST -d "{\"bytes\": $((64 << 20))}" "$CONTROL/rate" >/dev/null
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
curl -fsS -X POST -d '{"bytes": 0}' "$CONTROL/rate" >/dev/null

finished() { [ "$(value "SELECT count(*) FROM ferry.task WHERE state IN ('queued', 'running')")" = 0 ]; }
wait_for 120 "all tasks" finished
sleep 0.5

bold "the rows"
sql -c "SELECT id, state, attempt, crashes, bytes_done, verified_by, crc64, peak_memory FROM ferry.task ORDER BY id"
[ "$(value "SELECT count(*) FROM ferry.task WHERE state = 'done'")" = 4 ] || die "not all tasks are done"
[ "$(value 'SELECT crashes FROM ferry.task WHERE id = 1')" = 1 ] || die "ferryd did not count the kill"

bold "checksums of $BIG"
want=$(node tests/servers/cos/crc64.js "$DIR/big")
row=$(value 'SELECT crc64 FROM ferry.task WHERE id = 1')
stored=$(curl -fsS "$CONTROL/objects" | node -e '
    const o = JSON.parse(require("fs").readFileSync(0)).find((x) => x.bucket === process.argv[1] && x.key === process.argv[2]);
    process.stdout.write(o.files.join("\n"));' $OUTSIDE "$BIG" | tr '\n' '\0' | xargs -0 cat | node tests/servers/cos/crc64.js -)
note "CRC64 of the file that was put inside:  $want"
note "CRC64 in the row:                       $row"
note "CRC64 of the bytes outside:             $stored"
[ "$want" = "$row" ] && [ "$want" = "$stored" ] || die "the checksums differ"

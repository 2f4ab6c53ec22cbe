#!/bin/bash
# What the demos share: a private PostgreSQL with ferry's schema, a COS endpoint on loopback, ferryd, and their end.  A script
# sources this file.  All files are in $DIR, one temporary directory; whatever happens, everything is taken down when the script ends.
set -eu -o pipefail
TOP=$PWD
BUILD=${BUILD:-build}
INSIDE=inside-1250000000
OUTSIDE=outside-1250000000
DOMAIN=cos.ap-guangzhou.myqcloud.com

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

stage_database() {
	bold "a private PostgreSQL"
	mkdir "$DIR/sock" "$DIR/run" "$DIR/pg" "$DIR/bin"
	cp "$BUILD/ferryd" "$BUILD/ferry-worker" "$BUILD/ferryctl" "$BUILD/ferry-exporter" "$DIR/bin"
	chown -R "$ACCOUNT" "$DIR"
	chmod 755 "$DIR"
	export PGUSER=ferry_demo
	as_account "$PGBIN/initdb" -D "$DIR/pg" -U $PGUSER -A trust --no-sync >/dev/null
	as_account "$PGBIN/pg_ctl" -s -D "$DIR/pg" -l "$DIR/run/postgres.log" -o "-k $DIR/sock -c listen_addresses=''" -w start
	psql -X -q -h "$DIR/sock" -d postgres -c 'CREATE DATABASE ferry'
	export FERRYCTL_DATABASE="host=$DIR/sock dbname=ferry user=$PGUSER" FERRY_SCHEMA_DIR="$TOP/etc"
	"$DIR/bin/ferryctl" migrate
}

stage_cos() {
	bold "stores on loopback: a COS endpoint that checks signatures with the vendor's own client"
	mkdir "$DIR/cos"
	: >"$DIR/cos.ports"
	node tests/servers/cos/main.js --dir "$DIR/cos" --bucket $INSIDE --bucket $OUTSIDE --key AKIDdemo:demosecret \
	    >"$DIR/cos.ports" </dev/null &
	NODE=$!
	wait_for 60 "the COS endpoint" test -s "$DIR/cos.ports"
	COS_PORT=$(sed 's/.*"port":\([0-9]*\).*/\1/' "$DIR/cos.ports")
	CONTROL=http://127.0.0.1:$(sed 's/.*"control":\([0-9]*\).*/\1/' "$DIR/cos.ports")
	note "outside: http://$OUTSIDE.$DOMAIN:$COS_PORT"

	printf 'demosecret\n' >"$DIR/run/cos.secret"
}

# put FILE KEY: into the bucket inside
put_cos() { node tests/demo/put.js "$COS_PORT" $INSIDE AKIDdemo demosecret "$1" "$2"; }

# outside_store NAME BUCKET: the section of a store of the COS endpoint
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

# $DIR/run/ferryd.conf is written; the log is shown from now on
stage_ferryd() {
	chown -R "$ACCOUNT" "$DIR/run"
	chmod 600 "$DIR"/run/*.secret
	: >"$DIR/run/ferryd.log"
	chown "$ACCOUNT" "$DIR/run/ferryd.log"
	tail -n +1 -F "$DIR/run/ferryd.log" 2>/dev/null | sed -u "s/^\(.\{400\}\).*/\1.../" &
	TAIL=$!
	"$DIR/bin/ferryd" -f "$DIR/run/ferryd.conf"
}

# rate BYTES_PER_SECOND of the COS endpoint; 0: no limit
rate() { curl -fsS -X POST -d "{\"bytes\": $1}" "$CONTROL/rate" >/dev/null; }

finished() { [ "$(value "SELECT count(*) FROM ferry.task WHERE state IN ('queued', 'running')")" = 0 ]; }

# compare_checksums FILE KEY TASK
compare_checksums() {
	bold "checksums of $2"
	local want row stored
	want=$(node tests/servers/cos/crc64.js "$1")
	row=$(value 'SELECT crc64 FROM ferry.task WHERE id = '"$3")
	stored=$(curl -fsS "$CONTROL/objects" | node -e '
	    const o = JSON.parse(require("fs").readFileSync(0)).find((x) => x.bucket === process.argv[1] && x.key === process.argv[2]);
	    process.stdout.write(o.files.join("\n"));' $OUTSIDE "$2" | tr '\n' '\0' | xargs -0 cat | node tests/servers/cos/crc64.js -)
	note "CRC64 of the file that was put inside:  $want"
	note "CRC64 in the row:                       $row"
	note "CRC64 of the bytes outside:             $stored"
	[ "$want" = "$row" ] && [ "$want" = "$stored" ] || die "the checksums differ"
}

#!/bin/bash
# swift-dev.sh - the smallest real OpenStack Swift with its S3 API (s3api, tempauth, slo) on loopback, for tests.
# One proxy, one account, one container and one object server, in the foreground of their own sessions; rings of one
# device and one replica, and a memcached; no rsync, no replicators, no systemd.  Everything lives in one directory and
# listens on 127.0.0.1 only.  Needs root (a private mount namespace puts DIR/etc over /etc/swift) and a file system
# with user xattrs.
#
#   swift-dev.sh install      apt-get install what is needed (Debian 12: Swift 2.30)
#   swift-dev.sh up   DIR     start (makes rings and buckets on first use); idempotent
#   swift-dev.sh down DIR     stop the servers that 'up' started, by pid
#   swift-dev.sh env  DIR     print endpoint, keys, region, pids as shell assignments
#   swift-dev.sh status DIR   exit 0 when all four servers run and S3 answers
#
# Remove all data with: swift-dev.sh down DIR && rm -rf DIR
#
# Knobs, read at first 'up' and kept in DIR/env afterwards:
#   SWIFT_DEV_PORT      S3 port; +1 account, +2 container, +3 object server, +4 memcached (default: first free of 18480, 18580, ...)
#   SWIFT_DEV_ROOT      directory with another Debian's file tree to run the servers from (mmdebstrap), default: this one
#   SWIFT_DEV_BUCKETS   buckets made at first 'up' (default "bkt-one bkt-two")
#   SWIFT_DEV_S3API     more settings of [filter:s3api], separated by ';' (such as "max_upload_part_num = 10000")
#   SWIFT_DEV_SLO       more settings of [filter:slo], the same way
#   SWIFT_DEV_ACCESS_KEY  ACCOUNT:USER of tempauth (default test:tester)
#   SWIFT_DEV_SECRET_KEY  (default testing)
#   SWIFT_DEV_TIMEOUT   seconds to wait for any one step (default 60)
# A second user, other:user2 with the secret testing2, has an account of its own.
set -u -o pipefail
unset PORT ROOT ACCESS_KEY SECRET_KEY BUCKETS S3API SLO
LC_ALL=C; export LC_ALL
PKGS="swift-proxy swift-account swift-container swift-object memcached"
SERVERS="account container object proxy"
TIMEOUT=${SWIFT_DEV_TIMEOUT:-60}

say() { printf 'swift-dev: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
usage() { sed -n '2,28s/^# \{0,1\}//p' "$0" >&2; exit 2; }

# ---- processes: a pid file holds "pid starttime"; both must match ---------------
starttime() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
alive() { # alive NAME: true when the process that we started still runs
  local pid st now
  [ -s "$DIR/run/$1.pid" ] || return 1
  read -r pid st < "$DIR/run/$1.pid" || return 1
  [ -n "$pid" ] && [ -n "$st" ] || return 1
  now=$(starttime "$pid") || return 1
  [ "$now" = "$st" ] && ! grep -q '^State:.[ZX]' "/proc/$pid/status" 2>/dev/null
}
# inside COMMAND...: in a mount namespace of its own, with DIR/etc as /etc/swift, and in ROOT if that is another tree
INSIDE='
  set -e; dir=$1 root=$2; shift 2
  if [ -n "$root" ]; then
    mkdir -p "$root/etc/swift" "$root$dir"
    mount --rbind /proc "$root/proc"; mount --rbind /dev "$root/dev"; mount --rbind /sys "$root/sys"
    mount --bind "$dir" "$root$dir"
  fi
  mount --bind "$dir/etc" "$root/etc/swift"
  if [ -n "$root" ]; then exec chroot "$root" "$@"; fi
  exec "$@"'
inside() { unshare -m bash -c "$INSIDE" _ "$DIR" "$ROOT" "$@"; }
start() { # start NAME COMMAND...: own session, own pid recorded by itself before it goes inside
  local name=$1 i; shift
  [ "$1" = memcached ] || set -- unshare -m bash -c "$INSIDE" _ "$DIR" "$ROOT" "$@"
  rm -f "$DIR/run/$name.pid"
  setsid bash -c 'f=$1; shift
    st=$(sed "s/^.*) //" /proc/$$/stat | cut -d" " -f20)
    echo "$$ $st" > "$f.tmp" && mv "$f.tmp" "$f"; exec "$@"' \
    _ "$DIR/run/$name.pid" "$@" \
    </dev/null >>"$DIR/log/$name.log" 2>&1 8>&- 9>&- &
  for ((i = 0; i < 100; i++)); do [ -s "$DIR/run/$name.pid" ] && return 0; sleep 0.02; done
  die "$name did not start; see $DIR/log/$name.log"
}
stop() { # stop NAME: TERM, then KILL after 10 s; only the recorded process
  local pid st i
  if alive "$1"; then
    read -r pid st < "$DIR/run/$1.pid"
    kill -TERM "$pid" 2>/dev/null
    for ((i = 0; i < 100; i++)); do alive "$1" || break; sleep 0.1; done
    if alive "$1"; then say "$1 ($pid) ignored SIGTERM; SIGKILL"; kill -KILL "$pid" 2>/dev/null; sleep 0.2; fi
  fi
  rm -f "$DIR/run/$1.pid"
}
wait_for() { # wait_for WHAT SERVER COMMAND...: poll until COMMAND succeeds
  local what=$1 server=$2 end=$((SECONDS + TIMEOUT)); shift 2
  until "$@"; do
    alive "$server" || { tail -n 20 "$DIR/log/$server.log" >&2; die "$server died while waiting for: $what"; }
    [ $SECONDS -lt $end ] || die "timed out after ${TIMEOUT}s waiting for: $what (logs in $DIR/log)"
    sleep 0.1
  done
}

port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
ports_free() { local p; for p in "$1" $(($1 + 1)) $(($1 + 2)) $(($1 + 3)) $(($1 + 4)); do port_free "$p" || return 1; done; }
server_port() { case $1 in proxy) echo "$PORT" ;; account) echo $((PORT + 1)) ;; container) echo $((PORT + 2)) ;; object) echo $((PORT + 3)) ;; esac; }
answers() { [ "$(curl --noproxy '*' -s -m 5 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$(server_port "$1")/healthcheck")" = 200 ]; }

# ---- S3 by hand: query authentication needs only openssl and curl ---------------
s3() { # s3 METHOD /bucket[/key] [curl options...]   (names without special characters)
  local m=$1 r=$2 e sig; shift 2
  e=$(($(date +%s) + 600))
  sig=$(printf '%s\n\n\n%s\n%s' "$m" "$e" "$r" | openssl dgst -sha1 -hmac "$SECRET_KEY" -binary | base64 | sed 's/+/%2B/g;s#/#%2F#g;s/=/%3D/g')
  curl --noproxy '*' -sS -m 30 -X "$m" "$@" "http://127.0.0.1:$PORT$r?AWSAccessKeyId=${ACCESS_KEY/:/%3A}&Expires=$e&Signature=$sig"
}
s3_code() { s3 "$@" -o /dev/null -w '%{http_code}' 2>/dev/null; }
serves() { [ "$(s3_code GET /)" = 200 ]; } # signed; reads from the account server

# One device, one replica, 16 partitions: what swift-ring-builder does by nine calls, in the time of one.
RINGS='
import sys
from swift.common.ring import RingBuilder
for n, name in enumerate(("account", "container", "object"), int(sys.argv[1]) + 1):
    builder = RingBuilder(4, 1, 1)
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": n, "replication_ip": "127.0.0.1", "replication_port": n,
                     "device": "d1", "weight": 1})
    builder.rebalance()
    builder.get_ring().save(f"/etc/swift/{name}.ring.gz")'

write_conf() {
  local s account user
  account=${ACCESS_KEY%%:*} user=${ACCESS_KEY#*:}
  cat > "$DIR/etc/swift.conf" <<CONF
[swift-hash]
swift_hash_path_prefix = $HASH
swift_hash_path_suffix = $HASH
[storage-policy:0]
name = Policy-0
default = yes
CONF
  for s in account container object; do
    cat > "$DIR/etc/$s-server.conf" <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $(server_port $s)
workers = 0
user = root
swift_dir = $DIR/etc
devices = $DIR/devices
mount_check = false
disable_fallocate = true
log_level = INFO
[pipeline:main]
pipeline = healthcheck $s-server
[app:$s-server]
use = egg:swift#$s
[filter:healthcheck]
use = egg:swift#healthcheck
CONF
  done
  cat > "$DIR/etc/proxy-server.conf" <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $PORT
workers = 0
user = root
swift_dir = $DIR/etc
log_level = INFO
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck proxy-logging cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-logging proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
# there is no other replica to turn to: a server that is back is to be asked again at once, not after a minute
error_suppression_interval = 1
[filter:tempauth]
use = egg:swift#tempauth
user_${account}_$user = $SECRET_KEY .admin
user_other_user2 = testing2 .admin
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
$(printf '%s\n' "$S3API" | tr ';' '\n' | sed 's/^ *//')
[filter:slo]
use = egg:swift#slo
$(printf '%s\n' "$SLO" | tr ';' '\n' | sed 's/^ *//')
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$((PORT + 4))
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:bulk]
use = egg:swift#bulk
[filter:copy]
use = egg:swift#copy
[filter:dlo]
use = egg:swift#dlo
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:proxy-logging]
use = egg:swift#proxy_logging
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
[filter:symlink]
use = egg:swift#symlink
CONF
}

save_env() {
  umask 077
  cat > "$DIR/env.tmp" <<ENV
PORT=$PORT
ROOT='$ROOT'
HASH=$HASH
ACCESS_KEY=$ACCESS_KEY
SECRET_KEY=$SECRET_KEY
BUCKETS='$BUCKETS'
S3API='$S3API'
SLO='$SLO'
ENV
  mv "$DIR/env.tmp" "$DIR/env"
}

wipe() { rm -rf "${DIR:?}/etc" "$DIR/devices" "$DIR/run" "$DIR/log" "$DIR/env" "$DIR/.ready"; }

up() {
  local p s
  for p in curl openssl setsid flock unshare memcached; do command -v $p >/dev/null || die "no $p"; done
  [ "$(id -u)" = 0 ] || die "needs root, for a mount namespace"
  [ -e "$DIR/.ready" ] && [ -e "$DIR/env" ] && . "$DIR/env"
  if [ ! -e "$DIR/.ready" ]; then
    for p in $SERVERS memcached; do stop "$p"; done
    wipe
    mkdir -p "$DIR"/{etc,devices/d1,run,log} || die "cannot write in $DIR"
    ROOT=${SWIFT_DEV_ROOT:-}; HASH=$(tr -d - < /proc/sys/kernel/random/uuid)
    ACCESS_KEY=${SWIFT_DEV_ACCESS_KEY:-test:tester}
    SECRET_KEY=${SWIFT_DEV_SECRET_KEY:-testing}
    BUCKETS=${SWIFT_DEV_BUCKETS:-bkt-one bkt-two}
    S3API=${SWIFT_DEV_S3API:-} SLO=${SWIFT_DEV_SLO:-}
    [ -x "$ROOT/usr/bin/swift-proxy-server" ] || die "no swift-proxy-server; run: $0 install   (packages: $PKGS)"
    exec 8>> "${TMPDIR:-/tmp}/.swift-dev.ports.lock" && flock -w "$TIMEOUT" 8 || die "no port lock"
    if [ -n "${SWIFT_DEV_PORT:-}" ]; then
      PORT=$SWIFT_DEV_PORT; ports_free "$PORT" || die "port $PORT or one of the four after it is taken"
    else
      PORT=; for ((p = 18480; p < 20480; p += 100)); do ports_free $p && { PORT=$p; break; }; done
      [ -n "$PORT" ] || die "no free ports; set SWIFT_DEV_PORT"
    fi
    save_env; write_conf
    inside /usr/bin/python3 -c "$RINGS" "$PORT" > "$DIR/log/rings.log" 2>&1 || { cat "$DIR/log/rings.log" >&2; die "no rings"; }
  else
    write_conf
  fi
  alive memcached || start memcached memcached -l 127.0.0.1 -p $((PORT + 4)) -U 0 -m 16 -u nobody
  for s in $SERVERS; do
    alive "$s" && continue
    port_free "$(server_port "$s")" || die "port $(server_port "$s") is taken by another process"
    start "$s" "swift-$s-server" "/etc/swift/$s-server.conf" -v
  done
  for s in $SERVERS; do wait_for "$s server" "$s" answers "$s"; done
  exec 8>&-
  wait_for "a signed request" proxy serves
  if [ ! -e "$DIR/.ready" ]; then
    for p in $BUCKETS; do s=$(s3_code PUT "/$p"); [ "$s" = 200 ] || die "creating bucket $p: HTTP $s"; done
    : > "$DIR/.ready"
  fi
}

down() { local p; for p in proxy object container account memcached; do stop $p; done; }

show_env() {
  local p pid st
  [ -s "$DIR/env" ] || die "no Swift in $DIR"
  . "$DIR/env"
  cat <<ENV
S3_ENDPOINT=http://127.0.0.1:$PORT
AWS_ACCESS_KEY_ID=$ACCESS_KEY
AWS_SECRET_ACCESS_KEY=$SECRET_KEY
AWS_DEFAULT_REGION=us-east-1
S3_BUCKETS='$BUCKETS'
ENV
  for p in $SERVERS; do
    pid=; alive "$p" && read -r pid st < "$DIR/run/$p.pid"
    printf '%s_PID=%s\n' "$(echo "$p" | tr a-z A-Z)" "$pid"
  done
}

[ $# -ge 1 ] || usage
cmd=$1
if [ "$cmd" = install ]; then
  apt-get -qq -o DPkg::Lock::Timeout=300 update &&
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $PKGS curl openssl
  exit
fi
[ $# -eq 2 ] || usage
case $2 in /*) DIR=$2 ;; *) DIR=$PWD/$2 ;; esac
DIR=${DIR%/}
case $DIR in *[[:space:]]*) die "no spaces in the directory's name, please" ;; esac
case $cmd in
  up)
    # only ever touch a directory that is new, empty or ours
    if [ -d "$DIR" ] && [ ! -e "$DIR/.swift-dev" ] && [ -n "$(ls -A "$DIR")" ]; then die "$DIR is not empty and not mine"; fi
    mkdir -p "$DIR" && : > "$DIR/.swift-dev" || die "cannot write in $DIR"
    exec 9> "$DIR/.lock"; flock -w $((TIMEOUT * 4)) 9 || die "another swift-dev.sh works in $DIR"
    (up) || { down; say "up failed; logs are in $DIR/log"; exit 1; }
    show_env ;;
  down)
    [ -e "$DIR/.swift-dev" ] || { say "no Swift in $DIR"; exit 0; }
    exec 9> "$DIR/.lock"; flock -w $((TIMEOUT * 4)) 9 || die "another swift-dev.sh works in $DIR"
    down ;;
  env) show_env ;;
  status)
    [ -s "$DIR/env" ] || die "no Swift in $DIR"; . "$DIR/env"
    for p in $SERVERS; do alive "$p" || die "$p is not running"; done
    serves || die "the proxy does not serve on port $PORT"
    say "up on http://127.0.0.1:$PORT" ;;
  *) usage ;;
esac

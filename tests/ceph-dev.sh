#!/bin/bash
# ceph-dev.sh - the smallest real Ceph Object Gateway (RGW, S3 API) on loopback, for the
# tests and the demo.  One mon, one OSD, one radosgw; no mgr, no systemd, no block
# device.  Everything lives in one directory and listens on 127.0.0.1 only.
#
#   ceph-dev.sh install        install what is needed by apt-get (Debian 12: Ceph 16.2, 13: 18.2), or make the file tree
#   ceph-dev.sh up   DIR       start (creates the cluster on first use); idempotent
#   ceph-dev.sh down DIR       stop the daemons that 'up' started, by pid
#   ceph-dev.sh env  DIR       print endpoint, keys, region, pids as shell assignments
#   ceph-dev.sh status DIR     exit 0 when all three daemons run and S3 answers
#
# Remove all data with: ceph-dev.sh down DIR && rm -rf DIR
#
# Knobs, read at each call:
#   CEPH_DEV_SUITE    run the Ceph of this release of Debian, such as trixie (Ceph 18.2).  Its programs come from a file
#                     tree that mmdebstrap makes (500 MB, 2 minutes); they see DIR in a mount namespace of their own, so
#                     that nothing stays mounted.  Needs root.  Default: none, the Ceph of this machine
#   CEPH_DEV_TREE     the file tree (default /var/cache/ceph-dev/SUITE)
# Knobs, read at first 'up' and kept in DIR/env afterwards:
#   CEPH_DEV_PORT     RGW port; mon is +1, OSD +10..+29 (default: first free of 17480, 17580, ...)
#   CEPH_DEV_STORE    bluestore (sparse file, survives down/up; default) or
#                     memstore (RAM: 2 bytes a byte, PUT slower; lost by 'down')
#   CEPH_DEV_SIZE_GB  size of the store (default 20 for bluestore, 6 for memstore)
#   CEPH_DEV_BUCKETS  buckets made at first 'up' (default "bkt-one bkt-two")
#   CEPH_DEV_ACCESS_KEY, CEPH_DEV_SECRET_KEY
#   CEPH_DEV_TIMEOUT  seconds to wait for any one step (default 60)
set -u -o pipefail
unset STORE PORT ACCESS_KEY SECRET_KEY BUCKETS SIZE_GB FSID OSD_UUID MON_PORT
LC_ALL=C; export LC_ALL
unset CEPH_ARGS CEPH_CONF CEPH_KEYRING 2>/dev/null
PKGS="radosgw ceph-mon ceph-osd ceph-common"
SUITE=${CEPH_DEV_SUITE:-}
TREE=${CEPH_DEV_TREE:-/var/cache/ceph-dev/$SUITE}
TIMEOUT=${CEPH_DEV_TIMEOUT:-60}

say() { printf 'ceph-dev: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
usage() { sed -n '2,29s/^# \{0,1\}//p' "$0" >&2; exit 2; }
uuid() { cat /proc/sys/kernel/random/uuid; }

# ---- processes: a pid file holds "pid starttime"; both must match -------------
starttime() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
alive() { # alive NAME: true when the process that we started still runs
  local pid st now
  [ -s "$DIR/run/$1.pid" ] || return 1
  read -r pid st < "$DIR/run/$1.pid" || return 1
  [ -n "$pid" ] && [ -n "$st" ] || return 1
  now=$(starttime "$pid") || return 1
  [ "$now" = "$st" ] && ! grep -q '^State:.[ZX]' "/proc/$pid/status" 2>/dev/null
}
start() { # start NAME COMMAND...: own session, own pid recorded by itself before exec
  local name=$1 i; shift
  rm -f "$DIR/run/$name.pid"
  setsid bash -c 'f=$1; shift
    st=$(sed "s/^.*) //" /proc/$$/stat | cut -d" " -f20)
    echo "$$ $st" > "$f.tmp" && mv "$f.tmp" "$f"; exec "$@"' \
    _ "$DIR/run/$name.pid" "$@" </dev/null >>"$DIR/log/$name.out" 2>&1 8>&- 9>&- &
  for ((i = 0; i < 100; i++)); do [ -s "$DIR/run/$name.pid" ] && return 0; sleep 0.02; done
  die "$name did not start; see $DIR/log/$name.out"
}
stop() { # stop NAME: TERM, then KILL after 15 s; only the recorded process
  local pid st i
  if alive "$1"; then
    read -r pid st < "$DIR/run/$1.pid"
    kill -TERM "$pid" 2>/dev/null
    for ((i = 0; i < 150; i++)); do alive "$1" || break; sleep 0.1; done
    if alive "$1"; then say "$1 ($pid) ignored SIGTERM; SIGKILL"; kill -KILL "$pid" 2>/dev/null; sleep 0.2; fi
  fi
  rm -f "$DIR/run/$1.pid"
}
wait_for() { # wait_for WHAT DAEMON COMMAND...: poll until COMMAND succeeds
  local what=$1 daemon=$2 end=$((SECONDS + TIMEOUT)); shift 2
  until "$@"; do
    alive "$daemon" || { tail -n 20 "$DIR/log/$daemon.out" "$DIR"/log/*"${daemon#rgw}"*.log >&2 2>/dev/null; die "$daemon died while waiting for: $what (logs in $DIR/log)"; }
    [ $SECONDS -lt $end ] || die "timed out after ${TIMEOUT}s waiting for: $what (logs in $DIR/log)"
    sleep 0.1
  done
}
c() { timeout 15 ceph -c "$DIR/ceph.conf" --connect-timeout 10 "$@"; }

# ---- ports ---------------------------------------------------------------------
port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
ports_free() { local p; for p in "$1" $(($1 + 1)) $(($1 + 10)) $(($1 + 11)) $(($1 + 12)) $(($1 + 13)); do port_free "$p" || return 1; done; }

# ---- S3 by hand: SigV2 query auth needs only openssl and curl ------------------
s3() { # s3 METHOD /bucket[/key] [curl options...]   (names without special characters)
  local m=$1 r=$2 e sig; shift 2
  e=$(($(date +%s) + 600))
  sig=$(printf '%s\n\n\n%s\n%s' "$m" "$e" "$r" | openssl dgst -sha1 -hmac "$SECRET_KEY" -binary | base64 | sed 's/+/%2B/g;s#/#%2F#g;s/=/%3D/g')
  curl --noproxy '*' -sS -m 30 -X "$m" "$@" "http://127.0.0.1:$PORT$r?AWSAccessKeyId=$ACCESS_KEY&Expires=$e&Signature=$sig"
}
s3_code() { s3 "$@" -o /dev/null -w '%{http_code}' 2>/dev/null; }
rgw_answers() { [ "$(curl --noproxy '*' -s -m 5 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$PORT/")" = 200 ]; }
rgw_serves() { [ "$(s3_code GET /)" = 200 ]; } # signed; reads from the OSD
mon_answers() { c quorum_status >/dev/null 2>&1; }
osd_is_up() { c osd stat -f json 2>/dev/null | grep -Eq '"num_up_osds": ?1'; }

write_conf() {
  local asok= classes
  # unix socket paths end at 107 bytes: no admin sockets in a very deep directory
  [ ${#DIR} -le 70 ] && asok="admin socket = $DIR/run/\$name.asok"
  # Ceph 18 looks for its classes below the current directory, unless it is told where they are
  classes=$(echo /usr/lib/*/rados-classes)
  cat > "$DIR/ceph.conf" <<CONF
[global]
fsid = $FSID
mon host = [v2:127.0.0.1:$MON_PORT]
auth cluster required = none
auth service required = none
auth client required = none
# radosgw alone defaults to 'secure' here, which cannot work without cephx
ms mon client mode = crc
ms bind ipv4 = true
ms bind ipv6 = false
ms bind msgr1 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind port min = $((PORT + 10))
ms bind port max = $((PORT + 29))
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon warn on insecure global id reclaim = false
mon warn on insecure global id reclaim allowed = false
mon max pg per osd = 1000
log file = $DIR/log/\$name.log
log to stderr = false
err to stderr = true
run dir = $DIR/run
crash dir = $DIR/run
keyring = $DIR/keyring
mon cluster log file = $DIR/log/cluster.log

[mon]
mon data = $DIR/mon
mon data avail warn = 0
mon data avail crit = 0
mon allow pool delete = true
# one mon: nothing to wait for before a map change is proposed
paxos propose interval = 0.02
paxos min wait = 0.01
mon tick interval = 1
$asok

[osd]
osd data = $DIR/osd
osd objectstore = $STORE
osd class dir = ${classes%% *}
bluestore block size = $((SIZE_GB << 30))
bluestore block create = true
bluestore block db create = false
bluestore block wal create = false
bluestore fsck on mount = false
memstore device bytes = $((SIZE_GB << 30))
# the lowest that Ceph takes is 896 MiB
osd memory target = 939524096
osd crush initial weight = 1
osd op num shards = 2
$asok

[client.rgw.dev]
rgw data = $DIR/rgw
# without tcp_nodelay every small GET takes 40 ms (Nagle against delayed ACK)
rgw frontends = beast endpoint=127.0.0.1:$PORT tcp_nodelay=1
# virtual-host style for BUCKET.s3.test (curl --resolve); path style keeps working
rgw dns name = s3.test
rgw thread pool size = 64
rgw dynamic resharding = false
rgw run sync thread = false
rgw override bucket index max shards = 1
# give deleted and overwritten data back within seconds, not two hours
rgw gc obj min wait = 5
rgw gc processor period = 5
rgw gc processor max time = 5
$asok
CONF
}

save_env() {
  umask 077
  cat > "$DIR/env.tmp" <<ENV
FSID=$FSID
OSD_UUID=$OSD_UUID
PORT=$PORT
MON_PORT=$MON_PORT
STORE=$STORE
SIZE_GB=$SIZE_GB
ACCESS_KEY=$ACCESS_KEY
SECRET_KEY=$SECRET_KEY
BUCKETS='$BUCKETS'
ENV
  mv "$DIR/env.tmp" "$DIR/env"
}

wipe() { rm -rf "$DIR/mon" "$DIR/osd" "$DIR/rgw" "$DIR/run" "$DIR/log" "$DIR/env" "$DIR/ceph.conf" "$DIR/keyring" "$DIR/.ready"; }

up() {
  local b p
  for p in ceph-mon ceph-osd radosgw radosgw-admin ceph curl openssl setsid flock; do
    command -v $p >/dev/null || die "no $p; run: $0 install   (packages: $PKGS)"
  done
  [ -e "$DIR/.ready" ] && [ -e "$DIR/env" ] && . "$DIR/env"
  # memstore data died with its OSD; an unfinished first 'up' is of no use either
  if [ ! -e "$DIR/.ready" ] || { [ "${STORE:-}" = memstore ] && ! alive osd; }; then
    for p in rgw osd mon; do stop $p; done
    wipe
    mkdir -p "$DIR"/{mon,osd,rgw,run,log} || die "cannot write in $DIR"
    : > "$DIR/keyring"
    FSID=$(uuid); OSD_UUID=$(uuid)
    STORE=${CEPH_DEV_STORE:-${STORE:-bluestore}}
    case $STORE in bluestore) SIZE_GB=20 ;; memstore) SIZE_GB=6 ;; *) die "CEPH_DEV_STORE: $STORE?" ;; esac
    SIZE_GB=${CEPH_DEV_SIZE_GB:-$SIZE_GB}
    ACCESS_KEY=${CEPH_DEV_ACCESS_KEY:-${ACCESS_KEY:-DEVACCESSKEY00000000}}
    SECRET_KEY=${CEPH_DEV_SECRET_KEY:-${SECRET_KEY:-devsecretkey0000000000000000000000000000}}
    BUCKETS=${CEPH_DEV_BUCKETS:-${BUCKETS:-bkt-one bkt-two}}
    # two first 'up's at once must not choose the same ports: one at a time, until the mon listens
    exec 8>> "${TMPDIR:-/tmp}/.ceph-dev.ports.lock" && flock -w "$TIMEOUT" 8 || die "no port lock"
    if [ -n "${CEPH_DEV_PORT:-}" ]; then
      PORT=$CEPH_DEV_PORT; ports_free "$PORT" || die "port $PORT or one of those after it is taken"
    elif [ -z "${PORT:-}" ] || ! ports_free "$PORT"; then
      PORT=; for ((p = 17480; p < 20480; p += 100)); do ports_free $p && { PORT=$p; break; }; done
      [ -n "$PORT" ] || die "no free ports; set CEPH_DEV_PORT"
    fi
    MON_PORT=$((PORT + 1))
    save_env; write_conf
    ceph-mon -c "$DIR/ceph.conf" -i a --mkfs --public-addrv "[v2:127.0.0.1:$MON_PORT]" \
      >"$DIR/log/mon-mkfs.out" 2>&1 || { cat "$DIR/log/mon-mkfs.out" >&2; die "mon mkfs failed"; }
  else
    write_conf
  fi

  if ! alive mon; then
    port_free "$MON_PORT" || die "mon port $MON_PORT is taken by another process"
    start mon ceph-mon -c "$DIR/ceph.conf" -i a -f --public-addrv "[v2:127.0.0.1:$MON_PORT]"
    wait_for "mon quorum" mon mon_answers
    exec 8>&-
  fi
  if ! alive osd; then
    if [ ! -e "$DIR/.ready" ]; then
      c osd new "$OSD_UUID" 0 >/dev/null || die "osd new failed"
      timeout $((TIMEOUT * 2)) ceph-osd -c "$DIR/ceph.conf" -i 0 --mkfs --osd-uuid "$OSD_UUID" \
        >"$DIR/log/osd-mkfs.out" 2>&1 || { cat "$DIR/log/osd-mkfs.out" >&2; die "osd mkfs failed"; }
    fi
    start osd ceph-osd -c "$DIR/ceph.conf" -i 0 -f
    wait_for "OSD up" osd osd_is_up
  fi
  if [ ! -e "$DIR/.ready" ]; then
    timeout $((TIMEOUT * 2)) radosgw-admin -c "$DIR/ceph.conf" user create --uid=dev --display-name=dev \
      --access-key="$ACCESS_KEY" --secret-key="$SECRET_KEY" \
      >"$DIR/log/user-create.out" 2>&1 || { cat "$DIR/log/user-create.out" >&2; die "user create failed"; }
  fi
  if ! alive rgw; then
    port_free "$PORT" || die "RGW port $PORT is taken by another process"
    start rgw radosgw -c "$DIR/ceph.conf" -n client.rgw.dev -f
  fi
  wait_for "RGW answer" rgw rgw_answers
  wait_for "RGW to serve a signed request" rgw rgw_serves
  if [ ! -e "$DIR/.ready" ]; then
    for b in $BUCKETS; do
      p=$(s3_code PUT "/$b"); [ "$p" = 200 ] || die "creating bucket $b: HTTP $p"
    done
    # first object write makes the data pool
    set -- $BUCKETS
    if [ $# -gt 0 ]; then
      p=$(s3_code PUT "/$1/ceph-dev-probe" --data-binary ok -H 'Content-Type:'); [ "$p" = 200 ] || die "first PUT: HTTP $p"
      p=$(s3_code DELETE "/$1/ceph-dev-probe"); [ "$p" = 204 ] || die "first DELETE: HTTP $p"
    fi
    : > "$DIR/.ready"
  fi
  if command -v ss >/dev/null; then
    local pid st bad
    for p in mon osd rgw; do
      read -r pid st < "$DIR/run/$p.pid"
      bad=$(ss -Hlntp 2>/dev/null | grep "pid=$pid," | awk '$4 !~ /^127\.0\.0\.1:/ {print $4}')
      [ -z "$bad" ] || die "$p listens on $bad"
    done
  fi
}

down() { local p; for p in rgw osd mon; do stop $p; done; }

show_env() {
  [ -s "$DIR/env" ] || die "no cluster in $DIR"
  . "$DIR/env"
  cat <<ENV
RGW_ENDPOINT=http://127.0.0.1:$PORT
AWS_ACCESS_KEY_ID=$ACCESS_KEY
AWS_SECRET_ACCESS_KEY=$SECRET_KEY
AWS_DEFAULT_REGION=us-east-1
RGW_BUCKETS='$BUCKETS'
CEPH_CONF=$DIR/ceph.conf
RGW_LOG=$DIR/log/client.rgw.dev.log
ENV
  local p pid st
  for p in mon osd rgw; do
    pid=; alive $p && read -r pid st < "$DIR/run/$p.pid"
    printf '%s_PID=%s\n' "$(echo $p | tr a-z A-Z)" "$pid"
  done
}

# ---- the Ceph of another Debian --------------------------------------------------
install() { # install PACKAGE...
  apt-get -qq -o DPkg::Lock::Timeout=300 update &&
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
}
mirror() { apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian http/http/p' | head -n 1; }
make_tree() {
  local uri
  [ "$(id -u)" = 0 ] || die "needs root"
  [ -x "$TREE/usr/bin/radosgw" ] && return
  [ -e "$TREE" ] && die "$TREE is there, but has no radosgw; remove it first"
  command -v mmdebstrap >/dev/null || install mmdebstrap >/dev/null || die "cannot install mmdebstrap"
  uri=$(mirror)
  mkdir -p "$(dirname "$TREE")" || exit
  apt-config dump Acquire::Check-Valid-Until Acquire::Check-Date Acquire::http Acquire::https > "$TREE.apt" || exit
  echo 'APT::Install-Recommends "false";' >> "$TREE.apt"
  # made beside its place, so that what was interrupted is never taken for whole
  rm -rf "$TREE.new"
  mmdebstrap --quiet --mode=root --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
    --aptopt="$TREE.apt" --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include="$(echo $PKGS | tr ' ' ,),curl,openssl,iproute2" "$SUITE" "$TREE.new" "${uri:-http://deb.debian.org/debian}" &&
    mv "$TREE.new" "$TREE"
}
# 'up' goes on inside the tree, where DIR is at the same path; whatever it starts stays there.
up_inside() {
  [ "$(id -u)" = 0 ] || die "needs root"
  [ -x "$TREE/usr/bin/radosgw" ] || die "no Ceph in $TREE; run: CEPH_DEV_SUITE=$SUITE $0 install"
  export CEPH_DEV_INSIDE=1
  # the ports are locked there, against others outside
  exec unshare -m bash -c '
    set -e; tree=$1 dir=$2 self=$3 tmp=${TMPDIR:-/tmp}
    : >> "$tree/ceph-dev.sh"
    for d in proc sys dev; do mount --rbind /$d "$tree/$d"; done
    mkdir -p "$tree$tmp"; mount --bind "$tmp" "$tree$tmp"
    mkdir -p "$tree$dir"; mount --bind "$dir" "$tree$dir"; mount --bind "$self" "$tree/ceph-dev.sh"
    exec chroot "$tree" /bin/bash /ceph-dev.sh up "$dir"' _ "$TREE" "$DIR" "$(readlink -f "$0")"
}

[ $# -ge 1 ] || usage
cmd=$1
if [ "$cmd" = install ]; then
  if [ -n "$SUITE" ]; then make_tree; else install $PKGS curl openssl; fi
  exit
fi
[ $# -eq 2 ] || usage
case $2 in /*) DIR=$2 ;; *) DIR=$PWD/$2 ;; esac
DIR=${DIR%/}
case $DIR in *[[:space:]]*) die "no spaces in the directory's name, please" ;; esac
case $cmd in
  up)
    # only ever touch a directory that is new, empty or ours
    if [ -d "$DIR" ] && [ ! -e "$DIR/.ceph-dev" ] && [ -n "$(ls -A "$DIR")" ]; then die "$DIR is not empty and not mine"; fi
    mkdir -p "$DIR" && : > "$DIR/.ceph-dev" || die "cannot write in $DIR"
    [ -z "$SUITE" ] || [ -n "${CEPH_DEV_INSIDE:-}" ] || up_inside
    exec 9> "$DIR/.lock"; flock -w $((TIMEOUT * 4)) 9 || die "another ceph-dev.sh works in $DIR"
    # a killed 'up' may leave a mkfs behind: it holds the lock, so the next 'up' waits for it
    (up) || { down; say "up failed; logs are in $DIR/log"; exit 1; }
    show_env ;;
  down)
    [ -e "$DIR/.ceph-dev" ] || { say "no cluster in $DIR"; exit 0; }
    exec 9> "$DIR/.lock"; flock -w $((TIMEOUT * 4)) 9 || die "another ceph-dev.sh works in $DIR"
    down ;;
  env) show_env ;;
  status)
    [ -s "$DIR/env" ] || die "no cluster in $DIR"; . "$DIR/env"
    for p in mon osd rgw; do alive $p || die "$p is not running"; done
    rgw_serves || die "RGW does not serve on port $PORT"
    say "up on http://127.0.0.1:$PORT" ;;
  *) usage ;;
esac

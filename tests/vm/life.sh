# The life of an installation: what an administrator does with ferryd on a machine of systemd, from the package's installation to
# its purge.  Root runs it at each boot of the virtual machine.  /var/lib/life says which stage comes next.
#
# A line "ok" or "not ok" for each thing that must be so; the first "not ok" ends the run and shows what ferryd said.
set -u
here=/opt/ferryd
stage=$(cat /var/lib/life 2>/dev/null || echo 1)
export PGUSER=postgres PGHOST=/run/postgresql LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

explain() {
	systemctl --no-pager --full status ferryd | head -n 20
	journalctl --no-pager -u ferryd -o short-precise | tail -n 40
	sql "SELECT id, state, attempt, crashes, ooms, bytes_done, error FROM ferry.task ORDER BY id" || true
}
check() {
	what=$1
	shift
	if "$@" >/tmp/check.out 2>&1; then
		echo "ok - $what"
	else
		echo "not ok - $what: $*"
		cat /tmp/check.out
		explain
		exit 1
	fi
}
# until_true SECONDS COMMAND...
until_true() {
	end=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt "$end" ] || return 1
		sleep 1
	done
}
fails() { ! "$@"; }
equal() { [ "$1" = "$2" ] || { echo "\"$1\" is not \"$2\""; return 1; }; }

sql() { (cd / && runuser -u postgres -- psql -qAt -d "${db:-ferry}" -c "$1"); }
value() { [ "$(sql "$1")" = "$2" ] || { echo "$(sql "$1"), not $2"; return 1; }; }
put() { sql "INSERT INTO ferry.task (source, destination, expect_size) VALUES ('$1', '$2', $3) RETURNING id"; }
ended() { until_true "${2:-180}" value "SELECT state FROM ferry.task WHERE id = $1" "${3:-done}"; }
moves() { until_true 120 value "SELECT bytes_done > ${2:-0} FROM ferry.task WHERE id = $1" t; }
says() { until_true "${2:-20}" sh -c "journalctl --no-pager -u ferryd -o cat | grep -qE -e '$1'"; }
property() { systemctl show -P "$1" ferryd; }
is() { [ "$(property "$1")" = "$2" ] || { echo "$1 is $(property "$1"), not $2"; return 1; }; }
mode() { stat -c '%a %U:%G' "$1"; }
master() { property MainPID; }
workers() { pgrep -f '^ferry-worker'; }

. "$here/vm/stages.sh"

stage_$stage

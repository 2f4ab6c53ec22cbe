#!/bin/sh
# deps.sh packages NAME...   install the Debian packages of that list that are missing
# deps.sh node               node, from wherever this machine has it
# deps.sh npm                node, npm, and the packages of tests/package.json
# Quiet, and without touching the network, where nothing is missing.  No service of an installed package starts, now or at the
# next boot.
set -eu
export DEBIAN_FRONTEND=noninteractive

if [ "$(id -u)" -eq 0 ]; then as=; else as=sudo; fi

# While it lasts, invoke-rc.d starts nothing; a policy that the machine has already stays.
policy=/usr/sbin/policy-rc.d
services_off() {
	[ -e $policy ] && return
	trap '$as rm -f $policy' EXIT
	printf '#!/bin/sh\nexit 101\n' | $as tee $policy >/dev/null
	$as chmod 755 $policy
}

# What the next boot starts: units of systemd, and scripts of init.
enabled() {
	find /etc/systemd/system -path '*.wants/*' -type l -printf '%f\n' 2>/dev/null || true
	find /etc/rc2.d -name 'S*' -printf '%f\n' 2>/dev/null || true
}

disable() {
	case $1 in
	S[0-9][0-9]*) $as update-rc.d "${1#S[0-9][0-9]}" disable ;;
	# it works for the scripts of packages only, so it is told that it is in one
	*) $as env DPKG_MAINTSCRIPT_PACKAGE=ferryd deb-systemd-helper disable "$1" >/dev/null ;;
	esac
}

install_packages() {
	command -v apt-get >/dev/null || { echo "deps: no apt-get; install by hand: $*" >&2; exit 1; }
	services_off
	before=$(enabled | sort -u)
	$as apt-get -qq -o DPkg::Lock::Timeout=300 update
	$as env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
	    install -y --no-install-recommends "$@" >/dev/null
	for unit in $(enabled | sort -u); do
		printf '%s\n' "$before" | grep -qxF "$unit" || disable "$unit"
	done
}

case ${1-} in
packages)
	shift
	missing=
	for package in "$@"; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
	done
	[ -n "$missing" ] || exit 0
	echo "deps: installing$missing"
	install_packages $missing
	;;
node)
	command -v node >/dev/null || {
		echo "deps: installing nodejs"
		install_packages nodejs
	}
	;;
npm)
	cd "$(dirname "$0")"
	if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
		echo "deps: installing nodejs npm"
		install_packages nodejs npm
	fi
	if [ ! -e node_modules/.installed ] || [ package.json -nt node_modules/.installed ]; then
		npm install --no-audit --no-fund --no-package-lock --loglevel=error
		touch node_modules/.installed
	fi
	;;
*)
	sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
	exit 64
	;;
esac

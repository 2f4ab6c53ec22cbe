#!/bin/sh
# deps.sh packages NAME...   install the Debian packages of that list that are missing
# deps.sh quiet NAME...      the same, and no service of theirs is started, now or at the next boot
# deps.sh node               node and npm from wherever this machine has them, and the packages of tests/package.json
# Quiet, and without touching the network, where nothing is missing.
set -eu
export DEBIAN_FRONTEND=noninteractive

if [ "$(id -u)" -eq 0 ]; then as=; else as=sudo; fi

apt() {
	command -v apt-get >/dev/null || { echo "deps: no apt-get; install by hand: $*" >&2; exit 1; }
	$as apt-get -qq -o DPkg::Lock::Timeout=300 update
	$as env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
	    install -y --no-install-recommends "$@" >/dev/null
}

# While it lasts, invoke-rc.d starts nothing; a policy that the machine has already stays.
policy=/usr/sbin/policy-rc.d
services_off() {
	[ -e $policy ] && return
	trap '$as rm -f $policy' EXIT
	printf '#!/bin/sh\nexit 101\n' | $as tee $policy >/dev/null
	$as chmod 755 $policy
}

case $1 in
packages|quiet)
	mode=$1
	shift
	missing=
	for package in "$@"; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
	done
	[ -n "$missing" ] || exit 0
	echo "deps: installing$missing"
	[ "$mode" = packages ] || services_off
	apt $missing
	[ "$mode" = packages ] || for package in $missing; do
		[ ! -e "/etc/init.d/$package" ] || $as update-rc.d "$package" disable
	done
	;;
node)
	cd "$(dirname "$0")"
	if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
		echo "deps: installing nodejs npm"
		apt nodejs npm
	fi
	if [ ! -e node_modules/.installed ] || [ package.json -nt node_modules/.installed ]; then
		npm install --no-audit --no-fund --no-package-lock --loglevel=error
		touch node_modules/.installed
	fi
	;;
*)
	echo "usage: deps.sh packages NAME... | node" >&2
	exit 64
	;;
esac

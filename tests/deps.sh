#!/bin/sh
# deps.sh packages NAME...   install the Debian packages of that list that are missing
# deps.sh node               node and npm from wherever this machine has them, and the packages of tests/package.json
# Quiet, and without touching the network, where nothing is missing.
set -eu
export DEBIAN_FRONTEND=noninteractive

apt() {
	if [ "$(id -u)" -eq 0 ]; then as=; else as=sudo; fi
	command -v apt-get >/dev/null || { echo "deps: no apt-get; install by hand: $*" >&2; exit 1; }
	$as apt-get -qq -o DPkg::Lock::Timeout=300 update
	$as env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
	    install -y --no-install-recommends "$@" >/dev/null
}

case $1 in
packages)
	shift
	missing=
	for package in "$@"; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
	done
	[ -z "$missing" ] || { echo "deps: installing$missing"; apt $missing; }
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

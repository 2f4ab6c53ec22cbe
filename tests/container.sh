#!/bin/sh
# container.sh SUITE   build the image of etc/Containerfile, and run it as an orchestrator does: test_container.py
#
# buildah builds it, in chroots, from a base that mmdebstrap makes of that release: no registry is asked.  What it keeps is below
# TREES (build-debian) until the next run.  Needs root, 3 GiB of disk, and some minutes.
set -eu
cd "$(dirname "$0")/.."
[ $# -eq 1 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 64; }
suite=$1
trees=${TREES:-build-debian}
base=$trees/base-$suite
context=$trees/context

say() { printf 'container: %s\n' "$*" >&2; }
build() { buildah --storage-driver vfs --root "$PWD/$trees/images" --runroot "$PWD/$trees/images.run" "$@"; }

make_base() {
	uri=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian http/http/p' | head -n 1)
	say "making $base"
	rm -rf "$base.new"
	apt-config dump Acquire::Check-Valid-Until Acquire::Check-Date Acquire::http Acquire::https >"$base.apt"
	mmdebstrap --quiet --mode=root --variant=minbase --include=ca-certificates --aptopt="$base.apt" \
	    --dpkgopt=force-unsafe-io --keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$suite" "$base.new" "$uri"
	mv "$base.new" "$base"
}

# An image of the tree, named ferry-base.
import_base() {
	new=$(build from scratch)
	cp -a "$base/." "$(build mount "$new")"
	build umount "$new" >/dev/null
	build commit -q "$new" ferry-base >/dev/null
	build rm "$new" >/dev/null
}

[ "$(id -u)" -eq 0 ] || { say "needs root"; exit 1; }
mkdir -p "$trees"
[ -d "$base" ] || make_base
rm -rf "$context"
mkdir "$context"
tar -cf - --exclude=.git --exclude='./build*' --exclude=node_modules --exclude=__pycache__ . | tar -xf - -C "$context"
build rm --all >/dev/null
build rmi --all --force >/dev/null
import_base
say "building the image"
build bud -q --isolation chroot --build-arg BASE=localhost/ferry-base -t ferryd -f "$context/etc/Containerfile" "$context" >/dev/null
container=$(build from localhost/ferryd)
trap 'build rm "$container" >/dev/null' EXIT
FERRY_IMAGE=$(build mount "$container") FERRY_BUILD=${BUILD:-build} ${PYTHON:-/usr/bin/python3} -m pytest -q -ra \
    tests/system/test_container.py

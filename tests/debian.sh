#!/bin/sh
# debian.sh SUITE COMMAND...   run a command in a copy of this source, in a Debian of that release
#
# The Debian is a file tree, TREES/SUITE (TREES: build-debian), which mmdebstrap makes at the first call from this
# machine's own mirror.  Later calls find the tree, and the objects that they built there.  Its packages come by
# 'make deps', or by the target that DEPS names.  The command has a network of its own, so that its ports meet nobody's.  Needs root.
#
# Remove it all with: rm -rf TREES
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 2 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 64; }
suite=$1
trees=${TREES:-build-debian}
tree=$trees/$suite
shift

say() { printf 'debian: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

mirror() {
	apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian http/http/p' | head -n 1
}

make_tree() {
	uri=$(mirror)
	[ -n "$uri" ] || { apt-get -qq update; uri=$(mirror); }
	[ -n "$uri" ] || die "apt on this machine knows no mirror of Debian"
	say "making $tree"
	rm -rf "$tree.new"
	apt-config dump Acquire::Check-Valid-Until Acquire::Check-Date Acquire::http Acquire::https > "$tree.apt"
	echo 'APT::Install-Recommends "false";' >> "$tree.apt"
	mmdebstrap --quiet --mode=root --variant=minbase --include=ca-certificates,make --aptopt="$tree.apt" \
	    --dpkgopt=force-unsafe-io --keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$suite" "$tree.new" "$uri"
	# packages start no service
	printf '#!/bin/sh\nexit 101\n' > "$tree.new/usr/sbin/policy-rc.d"
	chmod 755 "$tree.new/usr/sbin/policy-rc.d"
	mv "$tree.new" "$tree"
}

# What was built there, and npm's packages, stay.
copy_source() {
	mkdir -p "$tree/ferryd/tests"
	find "$tree/ferryd" "$tree/ferryd/tests" -mindepth 1 -maxdepth 1 \
	    ! -name 'build*' ! -name tests ! -name node_modules -exec rm -rf {} +
	tar -cf - --exclude=.git --exclude='./build*' --exclude=node_modules --exclude=__pycache__ . | tar -xf - -C "$tree/ferryd"
}

# inside NETWORK COMMAND...: what is mounted goes with the last process.
inside() {
	network=$1
	shift
	unshare --mount $network sh -c '
		set -eu
		tree=$1
		shift
		# ip-netns(8) needs a root that is a mount
		mount --bind "$tree" "$tree"
		for dir in proc sys dev; do mount --rbind /$dir "$tree/$dir"; done
		mount -t tmpfs tmpfs "$tree/run"
		mkdir "$tree/run/lock"
		ip link set lo up
		cd "$tree"
		exec chroot . sh -c "cd /ferryd && exec \"\$@\"" sh "$@"' sh "$tree" \
	    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 PYTEST="${PYTEST:-}" \
	    NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt $(env | grep -iE '^(http|https|no)_proxy=') "$@"
}

[ "$(id -u)" -eq 0 ] || die "needs root"
mkdir -p "$trees"
exec 9> "$tree.lock"
flock -n 9 || die "$tree is in use"
[ -d "$tree" ] || make_tree
rm -rf "${tree:?}"/tmp/*
# names and certificates are those of this machine, which may reach the world through a proxy of its own
cp /etc/resolv.conf /etc/hosts "$tree/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/ca-certificates.crt"
copy_source
inside "" make -s "${DEPS:-deps}"
inside --net "$@"

#!/bin/sh
# vm.sh SUITE   the life of an installation, in a virtual machine with that release of Debian: tests/vm/life.sh
#
# Builds the package in a tree of that release (tests/debian.sh), makes a disk with systemd, PostgreSQL and node, boots it with
# Debian's own kernel under qemu's software emulation, and prints what the script in it says.  The machine has cgroup v2 and no
# network.  The trees are kept below TREES (build-debian) for the next run.  Needs root, 4 GiB of disk, and some ten minutes.
set -eu
cd "$(dirname "$0")/.."
[ $# -eq 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 64; }
suite=$1
trees=${TREES:-build-debian}
root=$trees/vm-$suite
seconds=${VM_SECONDS:-1500}

say() { printf 'vm: %s\n' "$*" >&2; }

libraries() {
	dpkg-deb -f "$1" Depends | tr ',' '\n' | sed 's/ *(.*//; s/^ *//; s/|.*//' | grep -v -x adduser
}

make_root() {
	uri=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian http/http/p' | head -n 1)
	say "making $root"
	rm -rf "$root.new"
	mmdebstrap --quiet --mode=root --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
	    --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
	    --include="systemd,systemd-sysv,dbus,udev,linux-image-cloud-amd64,iproute2,procps,adduser,kmod,curl,openssl,logrotate,nodejs,postgresql,python3,$(libraries "$1" | paste -sd,)" \
	    "$suite" "$root.new" "$uri"
	sed -i 's/^root:[^:]*:/root::/' "$root.new/etc/shadow"
	mv "$root.new" "$root"
}

# The package, and a release after it: the same with a higher number.
put_packages() {
	rm -rf "$root/opt/ferryd"
	mkdir -p "$root/opt/ferryd"
	cp "$1" "$root/opt/ferryd/ferryd.deb"
	dpkg-deb -R "$1" "$trees/next-$suite"
	sed -i 's/^Version: .*/&+1/' "$trees/next-$suite/DEBIAN/control"
	dpkg-deb --root-owner-group -b "$trees/next-$suite" "$root/opt/ferryd/next.deb" >/dev/null
	rm -rf "$trees/next-$suite"
}

put_tests() {
	cp -R tests/vm tests/servers "$root/opt/ferryd/"
	cp "$trees/$suite/ferryd/build/tests/hog.so" "$trees/$suite/ferryd/build/tests/preload_exec" "$root/opt/ferryd/"
	cat >"$root/etc/systemd/system/life.service" <<-'U'
	[Unit]
	After=multi-user.target
	[Service]
	Type=oneshot
	ExecStart=/bin/sh -c 'sh /opt/ferryd/vm/life.sh >/dev/ttyS1 2>&1 || { echo "life: exit $?" >/dev/ttyS1; systemctl poweroff; }'
	[Install]
	WantedBy=multi-user.target
	U
	ln -sf ../life.service "$root/etc/systemd/system/multi-user.target.wants/life.service"
}

boot() {
	rm -f "$root.disk" "$root.out"
	truncate -s 4G "$root.disk"
	mkfs.ext4 -q -d "$root" "$root.disk"
	say "booting"
	timeout "$seconds" qemu-system-x86_64 -accel tcg,thread=multi -m 1500 -smp 2 -display none -nodefaults -nic none \
	    -kernel "$(ls "$root"/boot/vmlinuz-* | tail -n 1)" -initrd "$(ls "$root"/boot/initrd.img-* | tail -n 1)" \
	    -append 'root=/dev/vda rw console=ttyS0 quiet' -drive "file=$root.disk,format=raw,if=virtio,cache=unsafe" \
	    -serial "file:$root.console" -serial "file:$root.out" || say "not powered off within $seconds s"
	rm -f "$root.disk"
}

[ "$(id -u)" -eq 0 ] || { say "needs root"; exit 1; }
DEPS=deps-deb TREES=$trees sh tests/debian.sh "$suite" sh -c 'make deb helpers >make.log 2>&1 || { tail -n 40 make.log; exit 1; }'
package=$(ls "$trees/$suite"/ferryd/build/deb/ferryd_*.deb)
[ -d "$root" ] || make_root "$package"
put_packages "$package"
put_tests
boot
cat "$root.out"
grep -q '^life: complete' "$root.out"

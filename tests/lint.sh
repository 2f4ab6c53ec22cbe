#!/bin/sh
# What the compiler does not check: who may include and link what, calls that the style rules out, both compilers without
# a warning, man pages, shell syntax.  Prints each finding; exit status 1 if there was one.
set -u
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
MAKE=${MAKE:-make}
bad=0
finding() { [ -z "$2" ] || { printf '%s\n%s\n' "lint: $1" "$2" >&2; bad=1; }; }

finding "the master includes a header of the worker" "$(grep -rnE '#include "worker/' master)"
finding "the worker includes a header of the master" "$(grep -rnE '#include "master/' worker)"
finding "common includes a header of the master or the worker" "$(grep -rnE '#include "(master|worker)/' common)"
for lib in libcurl libcrypto libssl libexpat libisal; do
	for program in ferryd ferryctl; do
		finding "$program links $lib" "$(readelf -d "$BUILD/$program" | grep "NEEDED.*$lib")"
	done
done
finding "calls that the style rules out" "$(grep -rnE \
    '(^|[^a-zA-Z0-9_>.])(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|strtok|system|popen|alloca)[[:space:]]*\(' \
    --include='*.[ch]' common master worker)"
finding "promises left in the tree" "$(grep -rnE '\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b' --include='*.[ch]' --include='*.sql' \
    --include='*.py' --include='*.sh' common master worker etc tests --exclude-dir=node_modules --exclude=lint.sh)"
finding "files of more than 450 lines" "$(find common master worker -name '*.[ch]' -exec wc -l {} + |
    awk '$2 != "total" && $1 > 450')"
finding "trailing white space" "$(grep -rnE '[ 	]+$' --include='*.[ch]' --include='*.sql' common master worker etc)"
for page in master/*.[58] master/ctl/*.8; do
	finding "mandoc -Tlint $page" "$(mandoc -Tlint -Wwarning "$page" 2>&1)"
done
for script in etc/ferryd.init tests/*.sh tests/demo/*.sh; do
	[ "$(head -c 11 "$script")" = "#!/bin/bash" ] && shell=bash || shell=sh
	finding "$shell -n $script" "$($shell -n "$script" 2>&1)"
done
for cc in gcc clang; do
	command -v "$cc" >/dev/null || continue
	finding "warnings of $cc" "$($MAKE -s --no-print-directory CC=$cc BUILD=build-$cc WERROR=-Werror OPT=-O1 all units 2>&1 | grep -vE "^  (CC|LD) ")"
done
[ $bad -eq 0 ] && echo "lint: clean"
exit $bad

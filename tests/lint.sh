#!/bin/sh
# What the compiler does not check: who may include, call and link what, the form of the sources, calls that the style
# rules out, both compilers without a warning, man pages, shell syntax.  Prints each finding; exit status 1 if there was one.
set -u
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
MAKE=${MAKE:-make}
bad=0
finding() { [ -z "$2" ] || { printf '%s\n%s\n' "lint: $1" "$2" >&2; bad=1; }; }

for check in "layers.py . $BUILD" form.py messages.py; do
	finding "tests/$check" "$(${PYTHON:-/usr/bin/python3} tests/$check 2>&1)"
done
# A slip whose text has vanished tests nothing.
finding "tests/mutants/mutants.py --list" "$(${PYTHON:-/usr/bin/python3} tests/mutants/mutants.py --list 2>&1 |
    grep -v ' 0 of them cannot be applied$')"
# Other versions of clang-format differ in details.
if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
	finding "clang-format" "$(find common master worker tests -name node_modules -prune -o -name '*.[ch]' -print |
	    xargs clang-format --dry-run -Werror 2>&1 | grep -E ': (error|warning): ')"
fi
for lib in libcurl libcrypto libssl libexpat libisal libseccomp; do
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
for page in master/*.[578] master/ctl/*.8; do
	finding "mandoc -Tlint $page" "$(mandoc -Tlint -Wwarning "$page" 2>&1)"
done
for script in etc/ferryd.init tests/*.sh tests/demo/*.sh; do
	[ "$(head -c 11 "$script")" = "#!/bin/bash" ] && shell=bash || shell=sh
	finding "$shell -n $script" "$($shell -n "$script" 2>&1)"
done
for cc in gcc clang; do
	command -v "$cc" >/dev/null || continue
	finding "warnings of $cc" "$(MAKEFLAGS= $MAKE -s -j"$(nproc)" --no-print-directory CC=$cc BUILD=build-$cc WERROR=-Werror OPT=-O1 all units 2>&1 | grep -vE "^  (CC|LD) ")"
done
[ $bad -eq 0 ] && echo "lint: clean"
exit $bad

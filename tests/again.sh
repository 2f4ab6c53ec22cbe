#!/bin/sh
# again.sh FILE   run the tests that FILE names, a line each, once more and one after the other
#
# Many tests run side by side in 'make check'.  A test that fails there and passes alone depends on the load of the machine.  That is
# a defect of the test, or of ferryd: it is named here as flaky, so that somebody mends it.  A test that fails again has failed, and
# so have all if there are more than MOST: no accident of the machine fails so many.
set -eu
cd "$(dirname "$0")"
case $1 in /*) file=$1 ;; *) file=../$1 ;; esac
MOST=5
[ -s "$file" ] || exit 1
count=$(wc -l <"$file")
[ "$count" -le $MOST ] || { echo "check: $count tests failed"; exit 1; }
echo "check: $count failed beside others; once more, alone:"
for name in FERRY_BUILD FERRY_SAN_BUILD; do
	eval "value=\$$name"
	case $value in /*) ;; *) export "$name=$(cd .. && pwd)/$value" ;; esac
done
xargs -d '\n' "$PYTHON" -m pytest -q -ra <"$file"
sed 's/^/check: flaky, mend it: /' "$file"

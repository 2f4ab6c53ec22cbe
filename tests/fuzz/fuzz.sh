#!/bin/sh
# BUILD=DIR SECONDS=N fuzz.sh NAME...   run the fuzzers DIR/fuzz_NAME, N seconds each, one for each processor at a time
#
# A fuzzer begins with tests/fuzz/corpus/NAME, and with what earlier runs have added to DIR/corpus/NAME.  An input that breaks a
# promise is kept as DIR/found/NAME-*, and its log is DIR/NAME.log.  Exit status 1 if there is one.
set -u
cd "$(dirname "$0")/../.."
export BUILD SECONDS
mkdir -p "$BUILD/found"
printf '%s\n' "$@" | xargs -P "$(nproc)" -I NAME sh -c '
	mkdir -p "$BUILD/corpus/NAME"
	dict=tests/fuzz/corpus/NAME.dict
	set -- "$BUILD/corpus/NAME" tests/fuzz/corpus/NAME
	[ ! -e $dict ] || set -- -dict=$dict "$@"
	"$BUILD/fuzz_NAME" -max_total_time="$SECONDS" -timeout=60 -close_fd_mask=1 -artifact_prefix="$BUILD/found/NAME-" "$@" \
	    >"$BUILD/NAME.log" 2>&1 && tail -n 1 "$BUILD/NAME.log" | sed "s/^/NAME: /" || {
		echo "NAME: an input breaks a promise: $BUILD/found, $BUILD/NAME.log" >&2
		exit 1
	}'
[ $? -eq 0 ]

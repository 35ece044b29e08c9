#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Build the fuzz targets with clang and run each from its committed corpus:
#
#   devtools/fuzz.sh [BUILD] [SECONDS] [TARGET...]        (a TARGET: lm_stream)

set -eu

BUILD=${1:-build-fuzz}
SECONDS_EACH=${2:-60}
[ $# -lt 2 ] || shift
[ $# -lt 1 ] || shift
CACHE=${DPDK_LM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dpdk-lm}

[ -f "$BUILD/build.ninja" ] || CC=clang meson setup "$BUILD" -Dfuzz=true -Dtests=disabled \
	-Ddpdk_source="${DPDK_SOURCE:-$CACHE/dpdk}" -Db_sanitize=address,undefined -Db_lundef=false
[ $# -gt 0 ] || set -- test/fuzz/fuzz_*.c
for source in "$@"; do
	name=$(basename "$source" .c | sed 's/^fuzz_//')
	target=$BUILD/test/fuzz/fuzz_$name
	ninja -C "$BUILD" "test/fuzz/fuzz_$name"
	seeds=test/fuzz/corpus/$name
	work=$BUILD/corpus/$name
	mkdir -p "$work"
	echo "fuzz: $name, $SECONDS_EACH s"
	"$target" -max_total_time="$SECONDS_EACH" -timeout=10 -rss_limit_mb=2048 \
		-artifact_prefix="$BUILD/$name-" -print_final_stats=1 "$work" "$seeds" \
		>"$BUILD/$name.log" 2>&1 || {
		tail -n 40 "$BUILD/$name.log"
		echo "fuzz: $name: FAILED (log: $BUILD/$name.log)"
		exit 1
	}
	grep -E 'number_of_executed_units|new_units_added' "$BUILD/$name.log"
done

#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Run the suites and close with one line that counts everything:
#
#   devtools/run-tests.sh fast|all|oracle [BUILD]

set -u

LEVEL=${1:-fast}
BUILD=${2:-build}
PYTHON=${PYTHON:-/usr/bin/python3}
CACHE=${DPDK_LM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dpdk-lm}
SOURCE=${DPDK_SOURCE:-$CACHE/dpdk}
DPDK_LM_BUILD=$(mkdir -p "$BUILD" && cd "$BUILD" && pwd)
export DPDK_LM_BUILD
mkdir -p "$BUILD/results"
rm -rf "$BUILD"/results/*.xml "$BUILD/results/traces" "$BUILD/results/headers.json"

say()
{
	printf '\n== %s (%s s so far)\n' "$*" "$(($(date +%s) - began))"
}

configure()
{
	if [ -f "$1/build.ninja" ]; then
		meson configure "$1" -Dtests=enabled >/dev/null
	else
		# shellcheck disable=SC2086
		meson setup "$1" -Ddpdk_source="$SOURCE" -Dtests=enabled ${MESON_FLAGS:-}
	fi
}

pytests()
{
	suite=$1
	shift
	say "$suite"
	"$PYTHON" -m pytest -p no:cacheprovider -q -ra --junitxml="$BUILD/results/$suite.xml" "$@"
	rc=$?
	[ $rc -eq 0 ] || failed="$failed $suite"
}

# The page in doc/ is written only when every judge has spoken.
judged()
{
	page=$BUILD/judged.rst
	[ -z "$failed" ] && ! grep -q '<skipped' "$BUILD"/results/*.xml && page=doc/judged.rst
	"$PYTHON" devtools/judged.py "$BUILD/results" "$page" || failed="$failed judged"
}

finish()
{
	"$PYTHON" devtools/count_tests.py "$BUILD"/results/*.xml || failed="$failed counts"
	printf '%s s' "$(($(date +%s) - began))"
	[ -z "$failed" ] && echo && exit 0
	printf '; FAILED:%s\n' "$failed"
	exit 1
}

began=$(date +%s)
failed=
configure "$BUILD" && ninja -C "$BUILD" || exit 1

if [ "$LEVEL" = oracle ]; then
	pytests conformance test/conformance
	pytests shim test/shim
	pytests uml test/uml
	pytests interop test/interop
	pytests guest-vfio test/qemu/test_guest_vfio.py
	say 'the page of what was judged'
	judged
	finish
fi

[ "$LEVEL" = all ] && export DPDK_LM_EXAMPLES=2000 DPDK_LM_SOAK=1 LM_FAULT_CELLS=all \
	DPDK_LM_HOT=500
say unit
meson test -C "$BUILD" --no-rebuild --suite unit --print-errorlogs || failed="$failed unit"
cp "$BUILD/meson-logs/testlog.junit.xml" "$BUILD/results/unit.xml" 2>/dev/null

pytests py test/py
pytests conformance test/conformance
if [ "$LEVEL" = all ]; then
	pytests qemu test/qemu --migrations 50
	export DPDK_LM_STRESS=1000000
	pytests stress test/py/test_vdpa_stress.py
	unset DPDK_LM_STRESS
	pytests shim test/shim
	pytests uml test/uml
	pytests interop test/interop
	say bench
	meson test -C "$BUILD" --no-rebuild --benchmark --verbose || failed="$failed bench"
	say clang
	[ -f "$BUILD-clang/build.ninja" ] || CC=clang meson setup "$BUILD-clang" \
		-Ddpdk_source="$SOURCE" -Dtests=enabled
	ninja -C "$BUILD-clang" || failed="$failed clang"
	say sanitizers
	devtools/sanitize.sh "$BUILD-asan" || failed="$failed sanitizers"
	say threads
	devtools/tsan.sh "$BUILD-tsan" || failed="$failed threads"
	say fuzz
	devtools/fuzz.sh "$BUILD-fuzz" 60 || failed="$failed fuzz"
	say lint
	BUILD=$BUILD devtools/lint.sh || failed="$failed lint"
else
	pytests qemu test/qemu --ignore test/qemu/test_guest_vfio.py # which make test-oracle has
fi

finish

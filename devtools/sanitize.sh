#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Build with ASan and UBSan, run the unit and py suites and real migrations:
# devtools/sanitize.sh [BUILD]

set -eu

BUILD=${1:-build-asan}
CACHE=${DPDK_LM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dpdk-lm}
PYTHON=${PYTHON:-/usr/bin/python3}

[ -f "$BUILD/build.ninja" ] || meson setup "$BUILD" -Ddpdk_source="${DPDK_SOURCE:-$CACHE/dpdk}" \
	-Dtests=enabled -Db_sanitize=address,undefined -Db_lundef=false
ninja -C "$BUILD"
# A leak or an undefined operation anywhere ends the process with a code of its own.
export ASAN_OPTIONS=detect_leaks=1:exitcode=99:abort_on_error=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:exitcode=99
LSAN_OPTIONS=suppressions=$(pwd)/devtools/lsan.supp:print_suppressions=0
export LSAN_OPTIONS
meson test -C "$BUILD" --no-rebuild --suite unit --print-errorlogs
DPDK_LM_BUILD=$(cd "$BUILD" && pwd)
export DPDK_LM_BUILD DPDK_LM_SANITIZED=1
"$PYTHON" -m pytest -p no:cacheprovider -q -ra test/py \
	--ignore=test/py/test_lm_bitmap.py --ignore=test/py/test_lm_tracker.py
# The whole path with guests; how a program ends is looked at too.
if [ -f "$BUILD/guest/vmlinuz" ]; then
	"$PYTHON" -m pytest -p no:cacheprovider -q -ra test/qemu/test_migrate.py \
		test/qemu/test_kill.py
fi
# These load the library into Python, which itself leaks: the runtime first, leaks not asked.
LD_PRELOAD=$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 \
	"$PYTHON" -m pytest -p no:cacheprovider -q -ra test/py/test_lm_bitmap.py \
	test/py/test_lm_tracker.py

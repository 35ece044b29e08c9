#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Build what has threads of lib/migration with TSan and run it: devtools/tsan.sh [BUILD]

set -eu

BUILD=${1:-build-tsan}
CACHE=${DPDK_LM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dpdk-lm}
TESTS='lm_channel lm_group lm_group_late lm_port lm_quiesce lm_ram lm_ram_cpu lm_ram_mt lm_session
	lm_session_fault lm_session_version lm_state lm_stream lm_timeline lm_tracker
	lm_tracker_member lm_vfio_user lm_vhost_log lm_vhost_log_mt'

[ -f "$BUILD/build.ninja" ] || meson setup "$BUILD" -Ddpdk_source="${DPDK_SOURCE:-$CACHE/dpdk}" \
	-Dtests=enabled -Db_sanitize=thread -Db_lundef=false
targets=
for test in $TESTS; do
	targets="$targets test/unit/test_$test"
done
# shellcheck disable=SC2086
ninja -C "$BUILD" $targets
# A child of a process with threads starts some of its own.
TSAN_OPTIONS=halt_on_error=1:exitcode=66:die_after_fork=0
export TSAN_OPTIONS
# shellcheck disable=SC2086
meson test -C "$BUILD" --no-rebuild --print-errorlogs --timeout-multiplier 10 $TESTS

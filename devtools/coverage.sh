#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Build with gcov, run what runs lib/migration and the vDPA driver, and hold both to their gates:
# devtools/coverage.sh [BUILD]. Processes that a test kills leave no figures: a lower bound.

set -eu

BUILD=${1:-build-cov}
CACHE=${DPDK_LM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dpdk-lm}
PYTHON=${PYTHON:-/usr/bin/python3}

# component LINES BRANCHES: its figures, and whether they reach so many per cent.
component()
{
	echo "coverage: $1, at least $2 % of lines, $3 % of branches"
	gcovr --root . --filter "$1/" --print-summary --fail-under-line "$2" \
		--fail-under-branch "$3" "$BUILD" >"$BUILD/coverage.log" || bad=1
	grep -E '^(lines|branches|lib|drivers|TOTAL)' "$BUILD/coverage.log"
}

[ -f "$BUILD/build.ninja" ] || meson setup "$BUILD" -Ddpdk_source="${DPDK_SOURCE:-$CACHE/dpdk}" \
	-Dtests=enabled -Db_coverage=true
ninja -C "$BUILD"
find "$BUILD" -name '*.gcda' -delete
meson test -C "$BUILD" --no-rebuild --suite unit --print-errorlogs --timeout-multiplier 4
DPDK_LM_BUILD=$(cd "$BUILD" && pwd)
export DPDK_LM_BUILD
"$PYTHON" -m pytest -p no:cacheprovider -q -ra test/py/test_lm_bitmap.py \
	test/py/test_lm_tracker.py test/py/test_migrate_cli.py test/py/test_exerciser_soak.py \
	test/py/test_port.py test/py/test_vdpa*.py
bad=0
component lib/migration 90 80
component drivers/vdpa/virtio_pci 85 0
exit $bad

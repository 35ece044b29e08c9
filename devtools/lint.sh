#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Static checks over everything that git tracks; prints findings, exits 1 when there is one.

set -u

BUILD=${BUILD:-build}
bad=0

report()
{
	printf 'lint: %s\n' "$1" >&2
	bad=1
}

# Every source file says its licence in the first two lines.
for f in $(git ls-files '*.c' '*.h' '*.py' '*.sh' '*meson.build' GNUmakefile); do
	head -n 2 "$f" | grep -q SPDX-License-Identifier || report "$f: no SPDX line"
done

# Lengths: files up to 800 lines, lines up to 100 columns (a tab is 8).
for f in $(git ls-files '*.c' '*.h' '*.py' '*.sh'); do
	n=$(wc -l <"$f")
	[ "$n" -le 800 ] || report "$f: $n lines"
	expand "$f" | awk -v f="$f" \
		'length($0) > 100 { print f ":" NR ": " length($0) " columns"; r = 1 }
		END { exit r }' || bad=1
done

# Words that DPDK's checkpatches rejects, in what links into applications.
words='RTE_LOG\(|rte_panic|rte_exit|rte_atomic[0-9]|rte_smp_[rw]*mb|__sync_|__atomic_'
words="$words|__attribute__"
words="$words|__builtin_|__rte_always_inline|pthread_create|pthread_join|RTE_LOG_REGISTER\\("
words="$words|[^a-z_]printf\\(|perror\\(|fprintf\\((stdout|stderr)|%ll?[dux]|#pragma|__typeof__"
git grep -nE "$words" -- 'lib/*.c' 'lib/*.h' 'drivers/*.c' 'drivers/*.h' && report 'rejected words'
git grep -nE 'LM_DPDK_GE|RTE_VERSION' -- '*.c' '*.h' ':!compat/*' &&
	report 'version test outside compat/'
git grep -nE '//' -- '*.c' '*.h' |
	grep -vE 'https?://|"[^"]*//|/\*.*//' &&
	report 'C++ comments'

if command -v codespell >/dev/null; then
	git ls-files | grep -v '^test/fuzz/corpus' |
		xargs codespell -q 3 -L 'ba,nd,te,inout,fo' || bad=1
fi
if command -v shellcheck >/dev/null; then
	git ls-files '*.sh' .ci/run | xargs shellcheck || bad=1
fi
if command -v mypy >/dev/null; then
	for f in usertools/lm_harness usertools/dpdk-lm-demo.py test/bench/bench_downtime.py \
			test/bench/bench_exerciser.py test/py/test_exerciser_soak.py \
			test/conftest.py test/py/test_check.py test/py/test_exerciser.py \
			test/py/test_harness.py \
			test/py/test_lm_tracker.py test/qemu/conftest.py test/qemu/test_cli.py \
			test/qemu/test_cli_serve.py test/qemu/test_demo.py \
			test/qemu/test_kill.py test/qemu/test_migrate.py test/qemu/test_peer.py \
			test/py/test_migrate_cli.py test/py/test_pds_migrate.py test/py/test_pds_hot.py \
			test/py/test_pds_cold.py \
			test/py/pds_bench.py test/py/vfu_pds.py usertools/dpdk-lm-demo-pds.py \
			test/conformance/test_headers.py test/conformance/test_pds_headers.py \
			test/conformance/test_state_table.py \
			test/py/testpmd.py test/shim/shim_rig.py test/shim/shim_tree.py \
			test/shim/test_probe.py test/shim/test_stock_virtio.py \
			test/private_apt.py test/interop/conftest.py test/interop/interop_rig.py \
			test/interop/newer_debian.py test/interop/test_interop_seeded.py \
			test/interop/test_vfio_user.py test/py/vdpa_bench.py \
			test/py/vdpa_traffic.py test/qemu/qemu_trace.py \
			test/qemu/test_guest_vfio.py test/qemu/vfio_guest.py \
			test/vfio/vdpa_judge.py \
			devtools/judged.py test/uml/conftest.py test/uml/pds_vfio.py \
			test/uml/tcp_echo.py test/uml/test_seeded.py test/uml/test_test_lm.py; do
		MYPYPATH=usertools:devtools:test:test/conformance:test/interop:test/py:test/qemu
		MYPYPATH=$MYPYPATH:test/shim:test/uml mypy --strict \
			--follow-imports=silent --no-error-summary "$f" || bad=1
	done
fi
sources=$(git ls-files 'lib/*.c' 'drivers/*.c' 'app/*.c')
if command -v cppcheck >/dev/null; then
	# shellcheck disable=SC2086
	cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr -j 2 \
		--enable=warning,portability --suppress=missingInclude \
		'-DRTE_LOG_LINE(l,t,...)=' --suppress=unknownMacro --suppress=unusedStructMember \
		-Ilib/vfio_user -Ilib/pciaccess -Ilib/migration -Idrivers/common \
		-Idrivers/common/exerciser -Idrivers/common/pds -Idrivers/common/virtio -Icompat \
		$sources || bad=1
fi
if command -v clang-tidy >/dev/null && [ -f "$BUILD/compile_commands.json" ]; then
	# shellcheck disable=SC2086
	clang-tidy --quiet -p "$BUILD" $sources 2>/dev/null |
		grep -E 'warning:|error:' && bad=1
fi
[ $bad -eq 0 ] && echo 'lint: clean'
exit $bad

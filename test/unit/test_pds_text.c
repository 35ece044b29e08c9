/* SPDX-License-Identifier: BSD-3-Clause */

/* Commands in words, with bytes as Linux's drivers put them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "lm_pds_text.h"

/* Catches: a field at a wrong offset, a wrapped command that is read from the wrong byte. */
static void
test_fields(void **state)
{
	uint8_t cmd[64] = { 8, 0, 11, 0, 21, 0, 3, 0 };
	char text[256];

	(void)state;
	cmd[4 + 8] = 0x00;
	cmd[4 + 9] = 0x10;
	cmd[4 + 16] = 1;
	assert_string_equal(lm_pds_text(LM_PDS_PLACE_CORE_ADMINQ, cmd, text, sizeof(text)),
			"CLIENT_CMD client_id=11: SAVE vf_id=3 sgl_addr=0x1000 num_sge=1");
	memset(cmd, 0, sizeof(cmd));
	memcpy(cmd, "\6\0\0\0pds_core.LM.vfio.0-8", 25);
	assert_string_equal(lm_pds_text(LM_PDS_PLACE_CORE_ADMINQ, cmd, text, sizeof(text)),
			"CLIENT_REG devname=pds_core.LM.vfio.0-8");
	memset(cmd, 0, sizeof(cmd));
	cmd[0] = 40;
	cmd[4] = 3;
	cmd[5] = 3;
	cmd[14] = 1;
	cmd[16] = 5;
	cmd[19] = 10;
	cmd[21] = 0x20;
	assert_string_equal(lm_pds_text(LM_PDS_PLACE_ETH, cmd, text, sizeof(text)),
			"Q_INIT type=3 ver=3 index=0 pid=0 intr_index=1 flags=0x5 ring_size=10 "
			"ring_base=0x2000 cq_ring_base=0x0 sg_ring_base=0x0");
}

/* Catches: RESET and INIT taken for each other, which differ between PF and Ethernet function. */
static void
test_places(void **state)
{
	char text[8];
	uint8_t cmd[64] = { 2 };

	(void)state;
	assert_string_equal(lm_pds_op_name(LM_PDS_PLACE_CORE_DEVCMD, 2), "RESET");
	assert_string_equal(lm_pds_op_name(LM_PDS_PLACE_ETH, 2), "INIT");
	assert_null(lm_pds_op_name(LM_PDS_PLACE_LM, 17));
	cmd[0] = 200;
	assert_string_equal(lm_pds_text(LM_PDS_PLACE_LM, cmd, text, sizeof(text)), "opcode ");
	cmd[0] = 33;
	assert_string_equal(lm_pds_text(LM_PDS_PLACE_LM, cmd, text, sizeof(text)), "DIRTY_E");
}

static void
test_status(void **state)
{
	(void)state;
	assert_string_equal(lm_pds_status_name(33), "ECLIENT");
	assert_string_equal(lm_pds_status_name(77), "unknown");
	assert_int_equal(lm_pds_status_errno(0), 0);
	assert_int_equal(lm_pds_status_errno(31), -ENODEV);
	assert_int_equal(lm_pds_status_errno(77), -EIO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

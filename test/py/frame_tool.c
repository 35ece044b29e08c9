/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Lets Python reach dm_frame_if.h: reads lines, answers each with one.
 *   build TYPE FLOW SEQ T_NS SIZE DST_MAC SRC_MAC   -> the frame in hexadecimal
 *   check TYPE DST_MAC SRC_MAC FRAME                -> good|corrupt|foreign
 *   echo DST_MAC SRC_MAC FRAME                      -> the echo, in hexadecimal, or the verdict
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_frame_if.h"

static const char *const verdicts[] = {
	[DM_FRAME_GOOD] = "good", [DM_FRAME_CORRUPT] = "corrupt", [DM_FRAME_FOREIGN] = "foreign",
};

static uint32_t
from_hex(const char *text, uint8_t *out, size_t room)
{
	unsigned int byte;
	uint32_t n = 0;

	while (n < room && sscanf(text + (size_t)n * 2, "%2x", &byte) == 1)
		out[n++] = (uint8_t)byte;
	return n;
}

static void
print_hex(const uint8_t *data, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		printf("%02x", data[i]);
	printf("\n");
}

int
main(void)
{
	static char line[2 * DM_FRAME_LEN_MAX + 256], hex[sizeof(line)];
	static uint8_t frame[DM_FRAME_LEN_MAX + 8];
	char dst[16], src[16];
	uint8_t dst_mac[6], src_mac[6];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		struct dm_frame_desc d = { 0 };
		uint16_t type = DM_FRAME_REQUEST;
		enum dm_frame_verdict verdict;
		uint32_t len;

		if (sscanf(line, "build %" SCNu16 " %" SCNu16 " %" SCNu64 " %" SCNu64 " %" SCNu32
				" %12s %12s", &d.type, &d.flow, &d.seq, &d.t_ns, &len, dst,
				src) == 7) {
			if (len < DM_FRAME_LEN_MIN || len > DM_FRAME_LEN_MAX)
				return EXIT_FAILURE;
			d.len_bytes = len - DM_FRAME_PAYLOAD_OFFSET;
			from_hex(dst, d.dst_mac, 6);
			from_hex(src, d.src_mac, 6);
			print_hex(frame, dm_frame_build(frame, &d));
			continue;
		}
		if (sscanf(line, "check %" SCNu16 " %12s %12s %s", &type, dst, src, hex) != 4 &&
				sscanf(line, "echo %12s %12s %s", dst, src, hex) != 3)
			return EXIT_FAILURE;
		from_hex(dst, dst_mac, 6);
		from_hex(src, src_mac, 6);
		len = from_hex(hex, frame, sizeof(frame));
		verdict = dm_frame_check(frame, len, type, dst_mac, src_mac, &d);
		if (line[0] == 'c' || verdict != DM_FRAME_GOOD) {
			printf("%s\n", verdicts[verdict]);
			continue;
		}
		dm_frame_echo(frame, &d);
		print_hex(frame, len);
	}
	return EXIT_SUCCESS;
}

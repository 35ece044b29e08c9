/* SPDX-License-Identifier: BSD-3-Clause */

/* The device of the unit tests as a process: "ready" once it listens, ends with its stdin. */

#include <stdio.h>
#include <unistd.h>

#include "vu_device.h"

int
main(int argc, char **argv)
{
	struct vu_device d;
	char c;

	vu_device_init(&d);
	if (argc == 2)
		snprintf(d.path, sizeof(d.path), "%s", argv[1]);
	if (argc != 2 || vu_device_start(&d, true) < 0)
		return 1;
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	vu_device_stop(&d);
	return 0;
}

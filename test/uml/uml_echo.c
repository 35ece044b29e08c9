/* SPDX-License-Identifier: BSD-3-Clause */

/* The test guest's echo as a program: takes the interfaces there are, answers on the port given. */

#include <stdio.h>

#include "guest.h"

int
main(int argc, char **argv)
{
	static struct guest g;

	if (argc != 2) {
		fprintf(stderr, "usage: %s PORT\n", argv[0]);
		return 2;
	}
	g.nic_count = guest_nic_open_all(g.nics, GUEST_NICS);
	if (g.nic_count == 0 || guest_control_open(&g, argv[1]) < 0)
		return 1;
	guest_control_ready(&g);
	guest_run(&g);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <rte_common.h>

#include "check.h"
#include "lm_pci.h"

#define TIMEOUT_MS 3000

static const struct {
	int error;
	const char *text;
	const char *next;
} failures[] = {
	{ -ENOENT, "there is no such file", "start the server first: dpdk-lm-devmodel --help" },
	{ -ECONNREFUSED, "nobody serves it any more", "start the server again" },
	{ -ENOTSOCK, "it is not a socket", "give the path that the server was given" },
	{ -EACCES, "no permission", "run as the server's user, or open the socket's directory" },
	{ -ETIMEDOUT, "no answer: it serves somebody else, or is not vfio-user",
		"end the other client, or give the server's vfio-user socket" },
	{ -ENAMETOOLONG, "too long for a socket's name", "use a shorter path" },
	{ -EPROTO, "what answers is not vfio-user", "give the server's vfio-user socket, not its "
		"control socket" },
	{ -ECONNRESET, "it hung up: is it a vfio-user socket?", "give the server's vfio-user "
		"socket, not its control socket; look at its log" },
	{ -ENODEV, "it is no PCI function", "give the socket of a PCI function" },
};

void
check_socket(struct check *c, const char *path)
{
	const struct lm_pci_params params = { .name = "device", .timeout_ms = TIMEOUT_MS };
	struct lm_pci *pci;
	struct stat st;
	unsigned int i;
	int ret;

	/* connect() says of a file that nobody listens on it. */
	ret = stat(path, &st) == 0 && !S_ISSOCK(st.st_mode) ? -ENOTSOCK :
			lm_pci_open_vfio_user(path, &params, &pci);
	for (i = 0; i < RTE_DIM(failures) && ret != 0; i++) {
		if (failures[i].error != ret)
			continue;
		check_line(c, CHECK_BLOCKED, "socket", failures[i].next, "%s: %s", path,
				failures[i].text);
		return;
	}
	if (ret != 0) {
		check_line(c, CHECK_BLOCKED, "socket", "look at the server's log", "%s",
				lm_pci_strerror(NULL));
		return;
	}
	check_line(c, CHECK_OK, "socket", NULL, "%s speaks vfio-user", path);
	check_function(c, pci);
	check_migration(c, pci);
	lm_pci_close(pci);
}

/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "lm_pci_mig.h"
#include "lm_state.h"

void
check_function(struct check *c, struct lm_pci *pci)
{
	uint64_t first, last, bytes = 0;
	unsigned int i, nb_bars = 0;
	uint16_t ids[2];

	if (lm_pci_config_read(pci, 0, ids, sizeof(ids)) != 0) {
		check_line(c, CHECK_BLOCKED, "function", "look at the kernel's or server's log",
				"%s", lm_pci_strerror(pci));
		return;
	}
	for (i = 0; i < LM_PCI_NUM_BARS; i++) {
		nb_bars += lm_pci_bar_size(pci, i) != 0;
		bytes += lm_pci_bar_size(pci, i);
	}
	check_line(c, CHECK_OK, "function", NULL, "%04x:%04x, %u BARs of %" PRIu64 " KiB in all, "
			"%u MSI-X vectors", ids[0], ids[1], nb_bars, bytes / 1024,
			lm_pci_irq_count(pci));
	if (lm_pci_iova_range(pci, 0, &first, &last) != 0) {
		check_line(c, CHECK_WARN, "memory", "enable the IOMMU in firmware and kernel "
				"(intel_iommu=on), and bind again", "no IOMMU: state can be moved, "
				"memory cannot be given to the device");
		return;
	}
	for (i = 0; lm_pci_iova_range(pci, i, &first, &last) == 0; i++)
		;
	check_line(c, CHECK_OK, "memory", NULL, "pages of %" PRIu64 " KiB, %u aperture%s up to "
			"0x%" PRIx64, lm_pci_page_size(pci) / 1024, i, i == 1 ? "" : "s", last);
}

static void
check_state(struct check *c, struct lm_pci *pci)
{
	uint32_t state;
	int ret;

	ret = lm_pci_mig_state(pci, &state);
	if (ret != 0)
		check_line(c, CHECK_BLOCKED, "state", "restart its server, or reset the function",
				"%s", lm_pci_strerror(pci));
	else if (state == LM_STATE_RUNNING)
		check_line(c, CHECK_OK, "state", NULL, "RUNNING");
	else if (state == LM_STATE_ERROR)
		check_line(c, CHECK_BLOCKED, "state", "reset it: bind it anew, or restart its "
				"server", "ERROR");
	else
		check_line(c, CHECK_WARN, "state", "whoever left it there should end the migration",
				"%s, so a migration is under way or was left half done",
				lm_state_name((enum lm_state)state));
}

static void
check_sizes(struct check *c, struct lm_pci *pci)
{
	uint64_t bytes;
	int ret;

	ret = lm_pci_mig_data_size(pci, &bytes);
	if (ret == 0)
		check_line(c, CHECK_OK, "size", NULL, "about %" PRIu64 " KiB of state if it "
				"stopped now", (bytes + 1023) / 1024);
	else
		check_line(c, CHECK_WARN, "size", "choose the limit of downtime with care",
				"it does not tell how much state it has: downtime cannot be "
				"predicted");
}

static void
check_flags(struct check *c, uint64_t flags)
{
	check_line(c, CHECK_OK, "migration", NULL, "STOP_COPY%s%s",
			(flags & LM_STATE_F_P2P) != 0 ? ", P2P" : "",
			(flags & LM_STATE_F_PRE_COPY) != 0 ? ", PRE_COPY" : "");
	if ((flags & LM_STATE_F_P2P) == 0)
		check_line(c, CHECK_WARN, "p2p", "migrate it alone, or say that devices do no DMA "
				"to each other", "no P2P: refused together with other devices");
	if ((flags & LM_STATE_F_PRE_COPY) == 0)
		check_line(c, CHECK_WARN, "precopy", NULL,
				"no PRE_COPY: all of its state moves while it is stopped");
}

static void
check_log(struct check *c, const struct lm_pci_mig_caps *caps)
{
	char rules[128] = "";

	if (!caps->has_log) {
		check_line(c, CHECK_WARN, "dirty-log", "memory that it can write is sent again "
				"after the stop, or use an IOMMU with dirty bits",
				"it does not log what it writes");
		return;
	}
	if (caps->log.whole_ranges)
		snprintf(rules, sizeof(rules), "; reports by whole mappings");
	else if (caps->log.align_pages > 1)
		snprintf(rules, sizeof(rules), "; up to %u ranges, reports by %u pages",
				caps->log.max_ranges, caps->log.align_pages);
	check_line(c, CHECK_OK, "dirty-log", NULL, "it logs what it writes%s", rules);
}

/* Modern virtio-net and -blk: virtio 1.3, 4.1.2.1. */
static bool
is_virtio(struct lm_pci *pci)
{
	uint16_t ids[2];

	return lm_pci_config_read(pci, 0, ids, sizeof(ids)) == 0 && ids[0] == 0x1af4 &&
			(ids[1] == 0x1041 || ids[1] == 0x1042);
}

static void
check_none(struct check *c, struct lm_pci *pci)
{
	if (is_virtio(pci))
		check_line(c, CHECK_WARN, "migration", "dpdk-test-lm serve --help", "none of its "
				"own, but our vDPA driver migrates it by relaying its queues");
	else if (c->is_socket)
		check_line(c, CHECK_BLOCKED, "migration", "serve it with a server that migrates, "
				"such as dpdk-lm-devmodel", "the server offers none");
	else
		check_line(c, CHECK_BLOCKED, "migration", "bind it to its variant driver, or let "
				"the owner of its PF serve it", "%s has none for it",
				lm_pci_driver(pci));
}

void
check_migration(struct check *c, struct lm_pci *pci)
{
	struct lm_pci_mig_caps caps;
	int ret;

	ret = lm_pci_mig_caps(pci, &caps);
	if (ret == -ENOTTY) {
		check_none(c, pci);
		return;
	}
	if (ret != 0) {
		check_line(c, CHECK_BLOCKED, "migration", "look at the kernel's or server's log",
				"%s", lm_pci_strerror(pci));
		return;
	}
	check_flags(c, caps.flags);
	check_state(c, pci);
	check_sizes(c, pci);
	check_log(c, &caps);
}

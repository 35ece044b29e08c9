/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lm_pci.h"
#include "lm_pci_kernel.h"
#include "lm_timeline.h"
#include "lm_vfio.h"
#include "mig.h"
#include "test_lm.h"

#define PAGE 4096u

static int
ram_open(const struct mig_ram *r)
{
	int fd, ret;

	if (r->file[0] != '\0')
		fd = open(r->file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	else
		fd = memfd_create(r->name, MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Never shorter: others may have it mapped. */
	struct stat st;

	if (fstat(fd, &st) == 0 && (uint64_t)st.st_size < r->size_bytes &&
			ftruncate(fd, (off_t)r->size_bytes) != 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

static int
ram_add(struct mig_side *s, unsigned int i)
{
	const struct mig_ram *r = &s->conf->ram[i];
	struct lm_ram_region region = { .addr = r->addr, .size_bytes = r->size_bytes,
		.flags = r->flags };
	int ret;

	s->fds[i] = ram_open(r);
	if (s->fds[i] < 0) {
		test_lm_error("memory %s: %s", r->name, strerror(-s->fds[i]));
		return s->fds[i];
	}
	s->memory[i] = mmap(NULL, r->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fds[i], 0);
	if (s->memory[i] == MAP_FAILED) {
		ret = -errno;
		s->memory[i] = NULL;
		test_lm_error("memory %s: %s", r->name, strerror(-ret));
		return ret;
	}
	region.vaddr = s->memory[i];
	snprintf(region.name, sizeof(region.name), "%s", r->name);
	ret = lm_ram_add(s->ram, &region);
	if (ret != 0)
		test_lm_error("memory %s: %s", r->name, ret == -EEXIST ?
			"overlaps another, or has its name" : ret == -EINVAL ?
			"addr and size are multiples of 4096" : strerror(-ret));
	return ret;
}

static int
dma_map(struct mig_side *s, struct lm_pci *pci)
{
	struct lm_pci_dma dma = { .prot = LM_PCI_PROT_READ | LM_PCI_PROT_WRITE };
	unsigned int i;
	int ret = 0;

	for (i = 0; i < s->conf->nb_ram && ret == 0; i++) {
		dma.iova = s->conf->ram[i].addr;
		dma.size_bytes = s->conf->ram[i].size_bytes;
		dma.vaddr = s->memory[i];
		dma.fd = s->fds[i];
		ret = lm_pci_dma_map(pci, &dma);
	}
	return ret;
}

static int
device_open(struct mig_side *s, unsigned int i)
{
	const struct lm_pci_params params = { .name = s->conf->devices[i].name,
		.timeout_ms = s->conf->deadline_us == 0 ? 10000 :
			(uint32_t)(s->conf->deadline_us / 1000) };
	struct lm_member_conf member = { .name = s->conf->devices[i].name,
		.timeline = s->timeline };
	int ret;

	if (s->conf->devices[i].bdf[0] != '\0')
		ret = lm_pci_open_kernel(s->conf->devices[i].bdf, &params, NULL, &s->pci[i]);
	else
		ret = lm_pci_open_vfio_user(s->conf->devices[i].socket, &params, &s->pci[i]);
	if (ret != 0) {
		test_lm_error("%s: %s", s->conf->devices[i].bdf[0] != '\0' ?
			s->conf->devices[i].bdf : s->conf->devices[i].socket,
			lm_pci_strerror(NULL));
		return ret;
	}
	s->nb++;
	s->mig[i] = s->pci[i];
	if (s->conf->devices[i].migration[0] != '\0') {
		ret = lm_pci_open_vfio_user(s->conf->devices[i].migration, &params, &s->mig[i]);
		if (ret != 0) {
			s->mig[i] = s->pci[i];
			test_lm_error("%s: %s", s->conf->devices[i].migration,
				lm_pci_strerror(NULL));
			return ret;
		}
	}
	ret = dma_map(s, s->pci[i]);
	if (ret == 0)
		ret = lm_pci_bus_master(s->pci[i], true);
	if (ret == 0)
		ret = lm_vfio_open(s->mig[i], &s->vfio[i]);
	if (ret != 0) {
		test_lm_error("%s: %s", member.name, ret == -ENOTTY ?
			"it offers no migration" : lm_pci_strerror(s->mig[i]));
		return ret;
	}
	if (s->mig[i] != s->pci[i])
		lm_vfio_function(s->vfio[i], s->pci[i]);
	member.provider = lm_vfio_provider(s->vfio[i]);
	ret = lm_group_add(s->group, &member);
	if (ret < 0) {
		test_lm_error("%s: %s", member.name, ret == -EEXIST ? "two devices of this name" :
			strerror(-ret));
		return ret;
	}
	return 0;
}

/* A device without a log of its own is believed to write everywhere. */
static int
track(struct mig_side *s)
{
	const struct lm_tracker_conf conf = { .page_size_bytes = PAGE, .timeline = s->timeline };
	struct lm_interval iv;
	unsigned int i;
	int ret;

	if (s->nb == 0)
		return 0;
	ret = lm_tracker_create(&conf, &s->tracker);
	for (i = 0; i < s->conf->nb_ram && ret == 0; i++) {
		iv.from = iv.to = s->conf->ram[i].addr;
		iv.len_bytes = s->conf->ram[i].size_bytes;
		ret = lm_tracker_map(s->tracker, &iv);
	}
	for (i = 0; i < s->nb && ret == 0; i++) {
		ret = lm_group_caps(s->group, i)->dirty.present ?
			lm_tracker_add_member(s->tracker, s->group, i) :
			lm_tracker_add_blind(s->tracker, lm_group_name(s->group, i));
	}
	if (ret != 0)
		test_lm_error("dirty tracking: %s", strerror(-ret));
	return ret;
}

static int
describe(struct mig_side *s)
{
	struct lm_compat_member *m;
	uint64_t first, last;
	unsigned int i, n;
	int ret;

	ret = lm_compat_create(s->group, s->ram, &s->compat);
	if (ret != 0)
		return ret;
	for (i = 0; i < s->nb; i++) {
		m = &s->compat->members[i];
		for (n = 0; n < LM_COMPAT_BARS; n++)
			m->bar_bytes[n] = lm_pci_bar_size(s->pci[i], n);
		m->nb_msix = lm_pci_irq_count(s->pci[i]);
		m->page_sizes = lm_pci_page_size(s->pci[i]);
		for (n = 0; n < LM_COMPAT_IOVAS; n++) {
			if (lm_pci_iova_range(s->pci[i], n, &first, &last) != 0)
				break;
			m->iovas[n].addr = first;
			m->iovas[n].len_bytes = last - first == UINT64_MAX ? UINT64_MAX :
				last - first + 1;
			m->nb_iovas = n + 1;
		}
	}
	return 0;
}

int
mig_side_open(struct mig_side *s, const struct mig_conf *conf, bool source)
{
	const struct lm_group_conf group = { .deadline_us = conf->deadline_us,
		.no_peer_dma = conf->no_peer_dma };
	unsigned int i;
	int ret;

	memset(s, 0, sizeof(*s));
	memset(s->fds, -1, sizeof(s->fds));
	s->conf = conf;
	s->source = source;
	ret = lm_timeline_create(source ? "send" : "receive", &s->timeline);
	if (ret == 0)
		ret = lm_group_create(&group, &s->group);
	if (ret == 0)
		ret = lm_ram_create(&s->ram);
	if (ret != 0)
		test_lm_error("%s", strerror(-ret));
	for (i = 0; i < conf->nb_ram && ret == 0; i++)
		ret = ram_add(s, i);
	for (i = 0; i < conf->nb_devices && ret == 0; i++)
		ret = device_open(s, i);
	if (ret == 0 && source)
		ret = track(s);
	return ret == 0 ? describe(s) : ret;
}

void
mig_side_close(struct mig_side *s)
{
	unsigned int i;

	lm_tracker_destroy(s->tracker);
	lm_group_destroy(s->group);
	for (i = 0; i < s->nb; i++) {
		lm_vfio_close(s->vfio[i]);
		if (s->mig[i] != s->pci[i])
			lm_pci_close(s->mig[i]);
		lm_pci_close(s->pci[i]);
	}
	lm_compat_destroy(s->compat);
	lm_ram_destroy(s->ram);
	lm_timeline_destroy(s->timeline);
	for (i = 0; i < MIG_MAX_RAM; i++) {
		if (s->memory[i] != NULL)
			munmap(s->memory[i], s->conf->ram[i].size_bytes);
		if (s->fds[i] >= 0)
			close(s->fds[i]);
	}
}

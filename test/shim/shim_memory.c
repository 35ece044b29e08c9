/* SPDX-License-Identifier: BSD-3-Clause */

/* From addresses to the files behind them, by /proc/self/maps. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "shim.h"

struct line {
	uint64_t start;
	uint64_t end;
	uint64_t offset;
	bool shared_file;
};

static bool
read_line(FILE *maps, struct line *l)
{
	char text[4096], rights[5];
	uint64_t inode;

	if (fgets(text, sizeof(text), maps) == NULL)
		return false;
	l->shared_file = false;
	if (sscanf(text, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %" SCNu64, &l->start, &l->end,
			rights, &l->offset, &inode) != 5)
		return false;
	l->shared_file = rights[3] == 's' && inode != 0;
	return true;
}

static int
open_file(const struct line *l)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/map_files/%" PRIx64 "-%" PRIx64, l->start, l->end);
	return open(path, O_RDWR | O_CLOEXEC);
}

static int
add_piece(struct shim_piece **pieces, int nb, const struct line *l, uint64_t at, uint64_t end,
		uint64_t iova)
{
	struct shim_piece *grown;
	int fd;

	if (!l->shared_file) {
		shim_warn("memory at 0x%" PRIx64 "..0x%" PRIx64 " has no file that another process "
				"could map", at, end);
		return -EFAULT;
	}
	fd = open_file(l);
	if (fd < 0) {
		shim_warn("cannot open the file behind 0x%" PRIx64 " (needs root)", at);
		return -errno;
	}
	grown = realloc(*pieces, ((size_t)nb + 1) * sizeof(*grown));
	if (grown == NULL) {
		close(fd);
		return -ENOMEM;
	}
	*pieces = grown;
	grown[nb].iova = iova;
	grown[nb].size_bytes = end - at;
	grown[nb].fd = fd;
	grown[nb].fd_offset = l->offset + (at - l->start);
	return 0;
}

int
shim_memory_pieces(uint64_t vaddr, uint64_t iova, uint64_t size_bytes, struct shim_piece **pieces)
{
	uint64_t at = vaddr, end = vaddr + size_bytes, stop;
	FILE *maps = fopen("/proc/self/maps", "re");
	struct line l;
	int nb = 0, ret = 0;

	*pieces = NULL;
	if (maps == NULL)
		return -errno;
	while (ret == 0 && at < end && read_line(maps, &l)) {
		if (l.end <= at)
			continue;
		if (l.start > at)
			break;
		stop = l.end < end ? l.end : end;
		ret = add_piece(pieces, nb, &l, at, stop, iova + (at - vaddr));
		if (ret != 0)
			break;
		nb++;
		at = stop;
	}
	fclose(maps);
	if (ret == 0 && at < end) {
		shim_warn("nothing is mapped at 0x%" PRIx64, at);
		ret = -EFAULT;
	}
	if (ret == 0)
		return nb;
	while (nb > 0)
		close((*pieces)[--nb].fd);
	free(*pieces);
	*pieces = NULL;
	return ret;
}

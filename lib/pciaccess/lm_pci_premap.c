/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lm_pci_mem.h"

/* Decimal or 0x..., with an optional K, M, G or T; *text moves behind it. */
static int
parse_number(const char **text, uint64_t *value)
{
	static const char suffixes[] = "KMGT";
	const char *s = *text, *suffix;
	unsigned int shift = 0;
	char *end;

	if (*s < '0' || *s > '9')
		return -EINVAL;
	errno = 0;
	*value = strtoull(s, &end, s[0] == '0' && (s[1] == 'x' || s[1] == 'X') ? 16 : 10);
	if (errno != 0)
		return -errno;
	if (*end != '\0') {
		suffix = strchr(suffixes, *end);
		if (suffix != NULL) {
			shift = 10 * (unsigned int)(suffix - suffixes + 1);
			end++;
		}
	}
	if (*value > UINT64_MAX >> shift)
		return -ERANGE;
	*value <<= shift;
	*text = end;
	return 0;
}

/* IOVA[,SIZE[,OFFSET]] */
static int
parse_place(const char *text, struct lm_pci_dma *dma)
{
	uint64_t *const fields[] = { &dma->iova, &dma->size_bytes, &dma->fd_offset };
	unsigned int i;
	int ret;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		ret = parse_number(&text, fields[i]);
		if (ret != 0)
			return ret;
		if (*text == '\0')
			return 0;
		if (*text++ != ',')
			return -EINVAL;
	}
	return -EINVAL;
}

int
lm_pci_premap_parse(const char *spec, char *path, size_t path_bytes, struct lm_pci_dma *dma)
{
	const char *at = strrchr(spec, '@');
	size_t len = at != NULL ? (size_t)(at - spec) : strlen(spec);

	*dma = (struct lm_pci_dma){ .fd = -1, .prot = LM_PCI_PROT_READ | LM_PCI_PROT_WRITE };
	if (len == 0)
		return -EINVAL;
	if (len >= path_bytes)
		return -ENAMETOOLONG;
	memcpy(path, spec, len);
	path[len] = '\0';
	return at != NULL ? parse_place(at + 1, dma) : 0;
}

static int
premap_file(struct lm_pci *pci, const char *path, struct lm_pci_dma *dma)
{
	struct lm_pci_file file;
	struct stat st;
	int ret;

	if (fstat(dma->fd, &st) != 0)
		return lm_pci_fail(pci, -errno, "premap: %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return lm_pci_fail(pci, -EINVAL, "premap: %s is %s", path,
				S_ISREG(st.st_mode) ? "empty: start the VM first" :
				"not a regular file");
	if (dma->size_bytes == 0) {
		if (dma->fd_offset >= (uint64_t)st.st_size)
			return lm_pci_fail(pci, -EINVAL, "premap: offset 0x%" PRIx64
					" is beyond %s of %jd bytes", dma->fd_offset, path,
					(intmax_t)st.st_size);
		dma->size_bytes = (uint64_t)st.st_size - dma->fd_offset;
	}
	ret = lm_pci_dma_check(pci, dma, &file);
	if (ret != 0)
		return ret;
	pthread_mutex_lock(&pci->lock);
	ret = lm_pci_map_one(pci, dma, &file, LM_PCI_MAP_FOREIGN);
	pthread_mutex_unlock(&pci->lock);
	return ret;
}

int
lm_pci_premap(struct lm_pci *pci, const char *spec)
{
	char path[PATH_MAX];
	struct lm_pci_dma dma;
	int ret;

	ret = lm_pci_premap_parse(spec, path, sizeof(path), &dma);
	if (ret != 0)
		return lm_pci_fail(pci, ret, "premap: '%s' is not FILE[@IOVA[,SIZE[,OFFSET]]]",
				spec);
	dma.fd = open(path, O_RDWR | O_CLOEXEC);
	if (dma.fd < 0)
		return lm_pci_fail(pci, -errno, "premap: cannot open %s: %s", path,
				strerror(errno));
	ret = premap_file(pci, path, &dma);
	close(dma.fd);
	return ret;
}

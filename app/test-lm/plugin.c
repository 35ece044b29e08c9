/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_string_fns.h>

#include "test_lm.h"

#define PLUGIN_FILE "liblm_vdpa_virtio_pci.so"
/* From this program's folder in a build tree to the plugin's. */
#define PLUGIN_BESIDE "../../drivers/vdpa/virtio_pci"

/* EAL refuses plugins that anybody could replace, with a message that is easy to miss. */
static int
plugin_check(const char *path)
{
	char dir[PATH_MAX];
	const char *parent;
	struct stat st;

	strlcpy(dir, path, sizeof(dir));
	do {
		parent = dirname(dir);
		if (parent != dir)
			strlcpy(dir, parent, sizeof(dir));
		if (stat(dir, &st) == 0 && (st.st_mode & S_IWOTH) != 0) {
			test_lm_error("plugin %s: folder %s can be written by everybody, so EAL "
				"does not load from it; build or install elsewhere, or give "
				"--plugin", path, dir);
			return -EPERM;
		}
	} while (strcmp(dir, "/") != 0);
	return 0;
}

static int
plugin_beside(char *out)
{
	char exe[PATH_MAX], path[PATH_MAX + sizeof(PLUGIN_BESIDE) + sizeof(PLUGIN_FILE)];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n < 0)
		return -errno;
	exe[n] = '\0';
	snprintf(path, sizeof(path), "%s/" PLUGIN_BESIDE "/" PLUGIN_FILE, dirname(exe));
	return realpath(path, out) == NULL ? -errno : 0;
}

int
test_lm_plugin_find(const char *asked, char *path, size_t size_bytes)
{
	char found[PATH_MAX];

	if (asked != NULL) {
		if (realpath(asked, found) == NULL) {
			int err = errno;

			test_lm_error("plugin %s: %s", asked, strerror(err));
			return -err;
		}
	} else if (plugin_beside(found) != 0 &&
			realpath(LM_PMD_DIR "/" PLUGIN_FILE, found) == NULL) {
		test_lm_error("no " PLUGIN_FILE " beside this program nor in " LM_PMD_DIR
			"; give --plugin FILE");
		return -ENOENT;
	}
	if (strlcpy(path, found, size_bytes) >= size_bytes)
		return -ENAMETOOLONG;
	return plugin_check(path);
}

/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_string_fns.h>
#include <rte_vdpa.h>
#include <rte_vhost.h>

#include "test_lm.h"

static void
serve_usage(FILE *out)
{
	fprintf(out,
		"Usage: dpdk-test-lm serve --device DEVICE --vhost PATH [--device ...]...\n"
		"\n"
		"Own a vhost-user socket for each vDPA device, in the order given, until\n"
		"SIGTERM or SIGINT. Prints \"ready PATH\" for each socket.\n"
		"\n"
		"  --device DEVICE      socket=PATH[,key=value...]: a function served over\n"
		"                       vfio-user; BDF[,key=value...]: one on the PCI bus\n"
		"  --vhost PATH         where the VM attaches\n"
		"  --client             connect to PATH, and again after a hang-up\n"
		"  --file-prefix NAME   of EAL's files, telemetry among them (default: lm<pid>)\n"
		"  --plugin FILE        driver to load (default: this build's, else installed)\n"
		"  --eal ARGS           more EAL arguments, separated by spaces\n");
}

static int
serve_opt(struct test_lm_serve_conf *conf, int opt, unsigned int *nb_vhosts)
{
	switch (opt) {
	case 'd':
	case 'v':
		if ((opt == 'd' ? conf->nb_ports : *nb_vhosts) == TEST_LM_MAX_PORTS) {
			test_lm_error("more than %u devices", TEST_LM_MAX_PORTS);
			return TEST_LM_USAGE;
		}
		if (opt == 'd')
			conf->port[conf->nb_ports++].device = optarg;
		else
			conf->port[(*nb_vhosts)++].vhost = optarg;
		return TEST_LM_OK;
	case 'c':
		conf->client = true;
		return TEST_LM_OK;
	case 'f':
		conf->file_prefix = optarg;
		return TEST_LM_OK;
	case 'p':
		conf->plugin = optarg;
		return TEST_LM_OK;
	case 'e':
		conf->eal = optarg;
		return TEST_LM_OK;
	default:
		serve_usage(stderr);
		return TEST_LM_USAGE;
	}
}

static int
serve_parse(int argc, char **argv, struct test_lm_serve_conf *conf, bool *help)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "vhost", required_argument, NULL, 'v' },
		{ "client", no_argument, NULL, 'c' },
		{ "file-prefix", required_argument, NULL, 'f' },
		{ "plugin", required_argument, NULL, 'p' },
		{ "eal", required_argument, NULL, 'e' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned int nb_vhosts = 0, i;
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		*help = opt == 'h';
		if (*help)
			return TEST_LM_OK;
		if (serve_opt(conf, opt, &nb_vhosts) != TEST_LM_OK)
			return TEST_LM_USAGE;
	}
	if (optind != argc || conf->nb_ports == 0 || conf->nb_ports != nb_vhosts) {
		test_lm_error(optind != argc ? "\"%s\" is not an option" :
			"give as many --vhost as --device, at least one", argv[optind]);
		serve_usage(stderr);
		return TEST_LM_USAGE;
	}
	for (i = 0; i < nb_vhosts; i++) {
		if (strlen(conf->port[i].vhost) < sizeof(((struct sockaddr_un *)NULL)->sun_path))
			continue;
		test_lm_error("%s: too long for a socket's name", conf->port[i].vhost);
		return TEST_LM_USAGE;
	}
	return TEST_LM_OK;
}

/* A socket that nobody listens on is left over from a process that died. */
static int
socket_is_stale(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, ret;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return 0;
	strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
	ret = connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 &&
		errno == ECONNREFUSED;
	close(fd);
	return ret;
}

static int
socket_prepare(const char *path)
{
	char copy[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	const char *dir;
	struct stat st;

	strlcpy(copy, path, sizeof(copy));
	dir = dirname(copy);
	if (access(dir, W_OK | X_OK) != 0) {
		test_lm_error("cannot make a socket in %s: %s", dir, strerror(errno));
		return -EACCES;
	}
	if (lstat(path, &st) != 0)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		test_lm_error("%s is there and is not a socket; give another --vhost", path);
		return -EEXIST;
	}
	if (!socket_is_stale(path)) {
		test_lm_error("%s is in use by another process; give another --vhost", path);
		return -EADDRINUSE;
	}
	return unlink(path) == 0 ? 0 : -errno;
}

static int
vm_attached(int vid)
{
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)] = "";

	rte_vhost_get_ifname(vid, path, sizeof(path));
	printf("running %s\n", path);
	fflush(stdout);
	return 0;
}

static void
vm_detached(int vid)
{
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)] = "";

	rte_vhost_get_ifname(vid, path, sizeof(path));
	printf("stopped %s\n", path);
	fflush(stdout);
}

static const struct rte_vhost_device_ops vm_ops = {
	.new_device = vm_attached,
	.destroy_device = vm_detached,
};

static int
port_start(const struct test_lm_port *p, bool client)
{
	struct rte_vdpa_device *vdpa = rte_vdpa_find_device_by_name(p->name);
	int ret;

	if (vdpa == NULL) {
		if (p->is_pci)
			test_lm_error("%s: the driver did not take the device: is it there, and "
				"bound? Type: dpdk-devbind.py --bind=vfio-pci %s", p->device,
				p->name);
		else
			test_lm_error("%s: the driver did not take the device", p->device);
		return -ENODEV;
	}
	ret = client ? 0 : socket_prepare(p->vhost);
	if (ret != 0)
		return ret;
	if (rte_vhost_driver_register(p->vhost, client ? RTE_VHOST_USER_CLIENT : 0) != 0) {
		test_lm_error("%s: rte_vhost refuses the socket", p->vhost);
		return -EIO;
	}
	if (rte_vhost_driver_callback_register(p->vhost, &vm_ops) != 0 ||
			rte_vhost_driver_attach_vdpa_device(p->vhost, vdpa) != 0 ||
			rte_vhost_driver_start(p->vhost) != 0) {
		test_lm_error("%s: cannot serve the socket", p->vhost);
		rte_vhost_driver_unregister(p->vhost);
		return -EIO;
	}
	printf("ready %s\n", p->vhost);
	fflush(stdout);
	return 0;
}

int
test_lm_serve(int argc, char **argv)
{
	static struct test_lm_serve_conf conf;
	unsigned int started;
	bool help = false;
	sigset_t signals;
	int sig, ret;

	ret = serve_parse(argc, argv, &conf, &help);
	if (help) {
		serve_usage(stdout);
		return TEST_LM_OK;
	}
	if (ret != TEST_LM_OK)
		return ret;
	/* Before EAL starts threads, so that they all leave these to sigwait(). */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (test_lm_eal_start(&conf) != 0)
		return TEST_LM_FAILED;
	ret = 0;
	for (started = 0; started < conf.nb_ports; started++) {
		ret = port_start(&conf.port[started], conf.client);
		if (ret != 0)
			break;
	}
	if (ret == 0)
		sigwait(&signals, &sig);
	while (started-- > 0)
		rte_vhost_driver_unregister(conf.port[started].vhost);
	rte_eal_cleanup();
	return ret == 0 ? TEST_LM_OK : TEST_LM_FAILED;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Two hosts on this machine, an exerciser on each; the device and a CPU write to memory all the
 * time, it migrates, and every page is looked at. Then twice more with something left out on
 * purpose, which has to be noticed.
 */

#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lm_pci.h"
#include "mig_load.h"
#include "mig_run.h"
#include "test_lm.h"

#define MODEL "dpdk-lm-devmodel"
#define MODEL_BESIDE "../devmodel/" MODEL
#define READY_LINES 256

struct demo {
	char dir[64];
	int log; /* what models say */
	unsigned int devices;
	const char *state;
	const char *json;
	uint64_t rate;
	bool quiet;
};

struct model {
	pid_t pid;
	char sockets[MIG_MAX_DEVICES][108];
};

/* Beside this program in a build tree, else wherever the shell would find it. */
static void
model_path(char *path, size_t size)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	snprintf(path, size, MODEL);
	if (n < 0)
		return;
	exe[n] = '\0';
	n = snprintf(path, size, "%s/" MODEL_BESIDE, dirname(exe));
	if (n < 0 || (size_t)n >= size || access(path, X_OK) != 0)
		snprintf(path, size, MODEL);
}

static void
model_exec(const struct demo *d, struct model *m, const char *fault, int out)
{
	char path[PATH_MAX + 64], state[64];
	char *argv[2 * MIG_MAX_DEVICES + 16];
	unsigned int i, n = 0;
	sigset_t none;

	model_path(path, sizeof(path));
	argv[n++] = path;
	argv[n++] = (char *)(uintptr_t)"exerciser";
	for (i = 0; i < d->devices; i++) {
		argv[n++] = (char *)(uintptr_t)"--socket";
		argv[n++] = m->sockets[i];
	}
	snprintf(state, sizeof(state), "state=%s", d->state);
	argv[n++] = (char *)(uintptr_t)"--option";
	argv[n++] = state;
	if (fault != NULL) {
		argv[n++] = (char *)(uintptr_t)"--fault";
		argv[n++] = (char *)(uintptr_t)fault;
	}
	argv[n] = NULL;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(out, STDOUT_FILENO);
	dup2(d->log, STDERR_FILENO);
	execvp(path, argv);
	_exit(127);
}

/* Until it has said "ready" for each socket. */
static int
model_await(const struct demo *d, int fd)
{
	FILE *f = fdopen(fd, "r");
	char line[READY_LINES];
	unsigned int nb = 0;

	if (f == NULL) {
		close(fd);
		return -ENOMEM;
	}
	while (nb < d->devices && fgets(line, sizeof(line), f) != NULL)
		nb += strncmp(line, "ready ", 6) == 0;
	fclose(f);
	return nb == d->devices ? 0 : -ENODEV;
}

static int
model_start(const struct demo *d, struct model *m, const char *side, const char *fault)
{
	unsigned int i;
	int out[2], ret;

	for (i = 0; i < d->devices; i++)
		snprintf(m->sockets[i], sizeof(m->sockets[i]), "%s/%s%u", d->dir, side, i);
	if (pipe(out) != 0)
		return -errno;
	m->pid = fork();
	if (m->pid == 0) {
		close(out[0]);
		model_exec(d, m, fault, out[1]);
	}
	close(out[1]);
	if (m->pid < 0) {
		close(out[0]);
		return -errno;
	}
	ret = model_await(d, out[0]);
	if (ret != 0)
		test_lm_error("the model of a device does not start: no " MODEL
			" beside this program nor in PATH?");
	return ret;
}

static void
model_end(struct model *m)
{
	if (m->pid <= 0)
		return;
	kill(m->pid, SIGTERM);
	waitpid(m->pid, NULL, 0);
	m->pid = 0;
}

static void *
receive_main(void *arg)
{
	mig_run_receive(arg);
	return NULL;
}

static void
side_conf(const struct demo *d, const struct model *m, struct mig_conf *c)
{
	unsigned int i;

	mig_conf_defaults(c);
	c->nb_devices = d->devices;
	c->exercise = true;
	c->connections = 2;
	c->load_rate = d->rate;
	c->quiet = d->quiet;
	for (i = 0; i < d->devices; i++) {
		snprintf(c->devices[i].name, sizeof(c->devices[i].name), "exerciser%u", i);
		snprintf(c->devices[i].socket, sizeof(c->devices[i].socket), "%s", m->sockets[i]);
	}
}

struct both {
	struct mig_conf src_conf, dst_conf;
	struct mig_run src, dst;
	struct model src_model, dst_model;
};

static int
open_both(const struct demo *d, struct both *b, const char *fault, bool track_cpu)
{
	char address[128];
	int ret;

	ret = model_start(d, &b->src_model, "source", fault);
	if (ret == 0)
		ret = model_start(d, &b->dst_model, "destination", NULL);
	if (ret != 0)
		return ret;
	side_conf(d, &b->src_model, &b->src_conf);
	side_conf(d, &b->dst_model, &b->dst_conf);
	b->dst_conf.quiet = true;
	ret = mig_load_layout(&b->src_conf, track_cpu);
	if (ret == 0)
		ret = mig_load_layout(&b->dst_conf, track_cpu);
	snprintf(address, sizeof(address), "unix:%s/migration", d->dir);
	b->src_conf.address = b->dst_conf.address = address;
	b->src.conf = &b->src_conf;
	b->dst.conf = &b->dst_conf;
	if (ret == 0)
		ret = mig_side_open(&b->src.side, &b->src_conf, true);
	if (ret == 0)
		ret = mig_side_open(&b->dst.side, &b->dst_conf, false);
	if (ret == 0)
		ret = mig_run_listen(&b->dst);
	b->src_conf.address = lm_listener_address(b->dst.listener);
	return ret;
}

static void
close_both(struct both *b)
{
	mig_load_end(&b->src.load);
	lm_listener_destroy(b->dst.listener);
	lm_outgoing_destroy(b->src.out);
	lm_incoming_destroy(b->dst.in);
	if (b->src.side.conf != NULL)
		mig_side_close(&b->src.side);
	if (b->dst.side.conf != NULL)
		mig_side_close(&b->dst.side);
	model_end(&b->src_model);
	model_end(&b->dst_model);
}

static int
migrate_once(const struct demo *d, struct both *b, const char *fault, bool track_cpu)
{
	pthread_t receiver;
	int ret;

	memset(b, 0, sizeof(*b));
	ret = open_both(d, b, fault, track_cpu);
	if (ret == 0)
		ret = mig_run_load(&b->src);
	if (ret != 0)
		return ret;
	ret = -pthread_create(&receiver, NULL, receive_main, &b->dst);
	if (ret != 0)
		return ret;
	ret = mig_run_send(&b->src);
	if (ret != 0)
		b->dst.cancelled = true;
	pthread_join(receiver, NULL);
	return ret;
}

static bool
main_run(const struct demo *d, struct both *b)
{
	bool good;
	json_t *json;

	if (!d->quiet)
		fprintf(stderr, "%u exerciser%s, %llu writes a second each and a CPU that writes; "
			"one migration:\n", d->devices, d->devices == 1 ? "" : "s",
			(unsigned long long)d->rate);
	good = migrate_once(d, b, NULL, true) == 0;
	if (!good) {
		close_both(b);
		return false;
	}
	mig_explain(&b->src_conf, "source", &b->src.report);
	good = b->src.report.outcome == LM_OUTCOME_COMPLETED && b->dst.check.done &&
		b->dst.check.lost == 0;
	json = mig_json("source", &b->src.report, b->src.members, &b->dst.check,
		b->src.side.timeline);
	b->src_conf.json = d->json;
	if (d->json == NULL || strcmp(d->json, "-") != 0)
		mig_text(stdout, json);
	if (mig_json_write(&b->src_conf, json) != 0)
		good = false;
	json_decref(json);
	close_both(b);
	return good;
}

/* Something is left out; a check that does not see it would prove nothing. */
static bool
control_run(const struct demo *d, struct both *b, const char *what, const char *fault,
		bool track_cpu)
{
	struct demo quiet = *d;
	bool caught;

	quiet.quiet = true;
	caught = migrate_once(&quiet, b, fault, track_cpu) == 0 && b->dst.check.done &&
		(track_cpu ? b->dst.check.lost - b->dst.check.cpu_lost : b->dst.check.cpu_lost) > 0;
	printf("  control: %s: %llu lost, %s\n", what, (unsigned long long)b->dst.check.lost,
		caught ? "caught" : "NOT caught");
	close_both(b);
	return caught;
}

/* Models tell of drivers that break a device's rules; that fails the demo. */
static bool
rules_kept(const struct demo *d)
{
	FILE *f = fdopen(d->log, "r");
	bool kept = true;
	char line[512];

	if (f == NULL)
		return false;
	rewind(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strstr(line, "broke rule") == NULL)
			continue;
		if (kept)
			test_lm_error("a device's rule was broken: %s", line);
		kept = false;
	}
	fclose(f);
	return kept;
}

static void
demo_usage(FILE *out)
{
	fprintf(out,
		"Usage: dpdk-test-lm demo exerciser [OPTION]...\n\n"
		"Migrate devices made to torture it, under load, between two hosts played on this\n"
		"machine. Needs no hardware, no hugepages, no root.\n\n"
		"  --devices N   exercisers that migrate together (default 2)\n"
		"  --state SIZE  of state in each, with K, M or G (default 4M)\n"
		"  --rate N      writes a second of each (default 20000)\n"
		"  --json FILE   the report; -: stdout\n"
		"  --quiet       no progress\n");
}

static int
demo_parse(int argc, char **argv, struct demo *d)
{
	static const struct option options[] = {
		{ "devices", required_argument, NULL, 'n' },
		{ "state", required_argument, NULL, 's' },
		{ "rate", required_argument, NULL, 'r' },
		{ "json", required_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'n')
			d->devices = (unsigned int)atoi(optarg);
		else if (opt == 's')
			d->state = optarg;
		else if (opt == 'r')
			d->rate = strtoull(optarg, NULL, 0);
		else if (opt == 'j')
			d->json = optarg;
		else if (opt == 'q')
			d->quiet = true;
		else
			return TEST_LM_USAGE;
	}
	return optind == argc && d->devices >= 1 && d->devices <= MIG_MAX_DEVICES && d->rate > 0 ?
		TEST_LM_OK : TEST_LM_USAGE;
}

static int
demo_exerciser(struct demo *d)
{
	static struct both both;
	const char *tmp = getenv("TMPDIR");
	bool good, caught;

	if ((size_t)snprintf(d->dir, sizeof(d->dir), "%s/lm-demo.XXXXXX", tmp != NULL ? tmp :
			"/tmp") >= sizeof(d->dir) || mkdtemp(d->dir) == NULL) {
		test_lm_error("no place for sockets: %s", strerror(errno));
		return TEST_LM_FAILED;
	}
	d->log = memfd_create("models", MFD_CLOEXEC);
	good = main_run(d, &both);
	printf("\n");
	caught = control_run(d, &both, "every third mark of a device dropped", "drop-dirty=3",
		true);
	caught = control_run(d, &both, "writes of the CPU not tracked", NULL, false) && caught;
	rmdir(d->dir);
	good = rules_kept(d) && good;
	printf("\nverdict: %s\n", !good ? "FAILED" : !caught ?
		"FAILED: the checker is blind" : "nothing lost; both controls caught");
	return good && caught ? TEST_LM_OK : TEST_LM_FAILED;
}

int
test_lm_demo(int argc, char **argv)
{
	struct demo d = { .devices = 2, .state = "4M", .rate = 20000 };

	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		demo_usage(stdout);
		return TEST_LM_OK;
	}
	if (argc < 2 || strcmp(argv[1], "exerciser") != 0 ||
			demo_parse(argc - 1, argv + 1, &d) != TEST_LM_OK) {
		demo_usage(stderr);
		return TEST_LM_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	return demo_exerciser(&d);
}

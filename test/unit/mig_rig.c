/* SPDX-License-Identifier: BSD-3-Clause */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "mig_rig.h"

#define SIZE ((size_t)RIG_PAGES * 4096)

static void
side_open(struct rig *r, struct rig_side *s, uint64_t flags, uint32_t state_bytes, bool source)
{
	const struct lm_group_conf conf = { 0 };
	const struct lm_tracker_conf track = { .page_size_bytes = 4096 };
	const struct lm_interval iv = { RIG_ADDR, RIG_ADDR, SIZE };
	struct lm_ram_region region = { .name = "ram", .addr = RIG_ADDR, .size_bytes = SIZE };
	struct lm_member_conf member = { .provider.ops = &mig_fake_ops };
	char name[16];
	unsigned int i;

	assert_int_equal(lm_group_create(&conf, &s->group), 0);
	s->memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(s->memory, MAP_FAILED);
	region.vaddr = s->memory;
	assert_int_equal(lm_ram_create(&s->ram), 0);
	assert_int_equal(lm_ram_add(s->ram, &region), 0);
	if (source) {
		assert_int_equal(lm_tracker_create(&track, &s->tracker), 0);
		assert_int_equal(lm_tracker_map(s->tracker, &iv), 0);
	}
	for (i = 0; i < r->nb; i++) {
		mig_fake_init(&s->fakes[i], flags, state_bytes, i + 1);
		if (!source)
			mig_fake_empty(&s->fakes[i]);
		snprintf(name, sizeof(name), "dev%u", i);
		member.name = name;
		member.deadline_us = i == RIG_STRUCK ? r->late_us : 0;
		member.provider.dev = &s->fakes[i];
		assert_int_equal(lm_group_add(s->group, &member), (int)i);
		if (source)
			assert_int_equal(lm_tracker_add_member(s->tracker, s->group, i), 0);
	}
}

static void *
storm_main(void *arg)
{
	struct rig *r = arg;
	struct mig_fake *f = &r->src.fakes[0];
	uint64_t seed = 1, word[8];
	uint64_t page;

	while (!r->storm_ends) {
		if (!r->storm_on) {
			usleep(200);
			continue;
		}
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		page = (seed >> 33) % (RIG_PAGES / 4);
		memset(word, (int)(seed >> 56) | 1, sizeof(word));
		if (mig_fake_dma(f, r->src.memory + page * 4096 + (seed >> 20) % 4000,
				RIG_ADDR + page * 4096, word, sizeof(word)))
			r->storm_writes++;
		if (seed % 64 == 0)
			usleep(50);
	}
	return NULL;
}

void
rig_open(struct rig *r, unsigned int nb, uint64_t flags, uint32_t state_bytes)
{
	rig_open_late(r, nb, flags, state_bytes, 0);
}

void
rig_open_late(struct rig *r, unsigned int nb, uint64_t flags, uint32_t state_bytes,
		uint64_t late_us)
{
	unsigned int i;

	memset(r, 0, sizeof(*r));
	r->late_us = late_us;
	r->nb = nb;
	r->bulk = 2;
	side_open(r, &r->src, flags, state_bytes, true);
	side_open(r, &r->dst, flags, state_bytes, false);
	for (i = 0; i < nb; i++) {
		r->src.fakes[i].twin = &r->dst.fakes[i];
		r->dst.fakes[i].twin = &r->src.fakes[i];
	}
	for (i = 0; i < SIZE; i += 4096 * 3)
		memset(r->src.memory + i, (int)(i / 4096) | 1, 4096);
	/* On a busy machine, or under a sanitizer, arcs cost what they cost. */
	r->out_conf.downtime_limit_us = RIG_LIMIT_US;
	r->out_conf.tracker = r->src.tracker;
	r->out_conf.ram = r->src.ram;
	r->in_conf.ram = r->dst.ram;
	pthread_create(&r->storm, NULL, storm_main, r);
}

static void
side_close(struct rig *r, struct rig_side *s)
{
	unsigned int i;

	lm_tracker_destroy(s->tracker);
	for (i = 0; i < r->nb; i++)
		mig_fake_release(&s->fakes[i], true);
	/* A thread inside a device has ended when its state can be asked for again. */
	lm_group_recover(s->group);
	lm_group_destroy(s->group);
	lm_ram_destroy(s->ram);
	munmap(s->memory, SIZE);
	for (i = 0; i < r->nb; i++)
		mig_fake_fini(&s->fakes[i]);
}

void
rig_close(struct rig *r)
{
	unsigned int i;

	r->storm_ends = true;
	pthread_join(r->storm, NULL);
	/* What runs from here on is no migration's. */
	for (i = 0; i < r->nb; i++)
		r->src.fakes[i].twin = r->dst.fakes[i].twin = NULL;
	side_close(r, &r->src);
	side_close(r, &r->dst);
}

void
rig_connect(struct rig *r)
{
	const struct lm_channel_conf conf = { 0 };
	unsigned int i;
	int pair[2];

	for (i = 0; i < r->bulk + 1; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		if (r->between != NULL)
			between_put(r->between, i, pair);
		r->src.fds[i] = pair[0];
		r->dst.fds[i] = pair[1];
	}
	assert_int_equal(lm_channel_adopt(r->src.fds, r->bulk + 1, &conf, &r->src.channel), 0);
	assert_int_equal(lm_channel_adopt(r->dst.fds, r->bulk + 1, &conf, &r->dst.channel), 0);
}

static void *
in_main(void *arg)
{
	struct rig *r = arg;

	r->in_outcome = lm_incoming_run(r->in);
	return NULL;
}

void
rig_migrate(struct rig *r)
{
	rig_connect(r);
	r->out_conf.group = r->src.group;
	r->out_conf.channel = r->src.channel;
	r->in_conf.group = r->dst.group;
	r->in_conf.channel = r->dst.channel;
	assert_int_equal(lm_outgoing_create(&r->out_conf, &r->out), 0);
	assert_int_equal(lm_incoming_create(&r->in_conf, &r->in), 0);
	pthread_create(&r->in_thread, NULL, in_main, r);
	r->out_outcome = lm_outgoing_run(r->out);
	lm_outgoing_report(r->out, &r->out_report);
	if (r->out_outcome != LM_OUTCOME_COMPLETED)
		lm_channel_break(r->src.channel);
	pthread_join(r->in_thread, NULL);
	lm_incoming_report(r->in, &r->in_report);
}

void
rig_end(struct rig *r)
{
	lm_outgoing_destroy(r->out);
	lm_incoming_destroy(r->in);
	r->out = NULL;
	r->in = NULL;
}

void
rig_storm(struct rig *r, bool on)
{
	r->storm_on = on;
}

unsigned int
rig_compare(const struct rig *r)
{
	unsigned int i, differ = 0;

	for (i = 0; i < RIG_PAGES; i++)
		if (memcmp(r->src.memory + i * 4096, r->dst.memory + i * 4096, 4096) != 0)
			differ++;
	return differ;
}

void
rig_refill(struct rig *r)
{
	unsigned int i;

	for (i = 0; i < r->nb; i++) {
		mig_fake_release(&r->src.fakes[i], true);
		mig_fake_release(&r->dst.fakes[i], true);
		r->src.fakes[i].fault = MIG_FAULT_NONE;
		r->dst.fakes[i].fault = MIG_FAULT_NONE;
		mig_fake_empty(&r->dst.fakes[i]);
	}
	/* A hung thread needs a moment to come back. */
	for (i = 0; i < 1000 && lm_group_recover(r->src.group) != 0; i++)
		usleep(1000);
	for (i = 0; i < 1000 && lm_group_reset(r->dst.group) != 0; i++)
		usleep(1000);
	for (i = 0; i < r->nb; i++) {
		mig_fake_release(&r->src.fakes[i], false);
		mig_fake_release(&r->dst.fakes[i], false);
		mig_fake_refill(&r->src.fakes[i]);
	}
}

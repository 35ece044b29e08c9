/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef EX_FAKE_H
#define EX_FAKE_H

/* An exerciser on a host by hand, and what a driver does to it. */

#include "dm_ex.h"
#include "dm_fake_host.h"
#include "lm_exerciser_check.h"

#define EX_RAM_IOVA UINT64_C(0x100000)
#define EX_RAM_PAGES 64u
#define EX_HIGH_IOVA UINT64_C(0x2000000000)
#define EX_HIGH_PAGES 37u
#define EX_RING_IOVA UINT64_C(0x80000)
#define EX_RING_BYTES 0x1000u
#define EX_NS_MS UINT64_C(1000000)

struct ex_fake {
	struct fake_host fake;
	struct dm_device device;
	struct dm_ex *ex;
	unsigned int resumes;
	uint64_t submitted;
};

void ex_fake_init(struct ex_fake *x, const struct dm_ex_conf *conf);
void ex_fake_fini(struct ex_fake *x);
void ex_put(struct ex_fake *x, uint32_t reg, uint64_t value);
uint64_t ex_get(struct ex_fake *x, uint32_t reg);
/* Both ranges, all pages, a state block changes every 3 steps; then register writes of choice. */
void ex_configure(struct ex_fake *x, uint64_t rate, uint64_t stride);
void ex_start(struct ex_fake *x, uint64_t rate, uint64_t stride);
/* Poll while time passes in steps of 1 ms. */
void ex_run(struct ex_fake *x, unsigned int ms);
void ex_submit(struct ex_fake *x, unsigned int nb);
void ex_view(struct ex_fake *x, struct lm_ex_view *view);
/* By the checker; the device is as it is. */
void ex_check(struct ex_fake *x, struct lm_ex_report *report);
/* No fault, or fail the test with the first. */
void ex_assert_sound(struct ex_fake *x);
int ex_go(struct ex_fake *x, enum lm_state to);
void ex_fault(struct ex_fake *x, const char *spec);

#endif /* EX_FAKE_H */

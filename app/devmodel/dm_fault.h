/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_FAULT_H
#define DM_FAULT_H

/**
 * @file
 * Misbehaviour on demand. Deterministic: the same driver sees the same faults at the same places.
 */

#include <stdbool.h>
#include <stdint.h>

struct dm_faults {
	uint64_t slow_reset_us;      /* device reset takes this long; the device works meanwhile */
	uint64_t slow_ring_reset_us; /* the same for one queue */
	uint64_t lost_irq_nth;       /* every Nth interrupt is lost; 0: none */
	uint64_t die_at_frames;      /* SIGKILL to itself after so many frames; 0: never */
	uint64_t slow_suspend_us;    /* SUSPEND takes this long; the device works meanwhile */
	uint64_t no_ring_reset;      /* feature not offered */
	uint64_t no_function_reset;  /* a function reset is refused */
	uint64_t stuck_ring_reset;   /* never completes */
	/* Lies, for tests that must see them: */
	uint64_t short_used_nth;     /* every Nth receive chain is said to hold a byte less */
	uint64_t flip_nth;           /* every Nth frame to the driver has one bit wrong */
	uint64_t deaf_reset;         /* the status reads 0, the queues stay */
	uint64_t deaf_ctrl;          /* control commands are acknowledged and forgotten */
	uint64_t lost_config_irq;    /* no configuration interrupt ever */
	uint64_t offer;              /* feature bits that are offered without being there */
	/* Not faults but a card's good right (VIRTIO 1.3, 2.7.8.2), for drivers that log writes: */
	uint64_t overrun;            /* fill a receive chain to its end; used.len stays exact */
	uint64_t early_write;        /* before a queue stops, write to so many buffers unused */
	uint64_t disorder;           /* keep up to so many chains a queue, use any of them */

	uint64_t used_chains, flipped_frames; /* counted for short_used_nth and flip_nth */
	uint64_t irqs;               /* counted for lost_irq_nth */
	uint64_t irqs_lost;
	uint64_t frames;
};

/** Parse one "name" or "name=number". @return 0, -EINVAL. */
int dm_fault_parse(struct dm_faults *f, const char *spec);
/** @return true when this interrupt is to be lost. */
bool dm_fault_irq(struct dm_faults *f);
/** @return len_bytes, or what is said instead of it. */
uint32_t dm_fault_used_len(struct dm_faults *f, uint32_t len_bytes);
/** @return the frame, or a wrong copy of it in copy[]. */
const uint8_t *dm_fault_flip(struct dm_faults *f, const uint8_t *frame, uint32_t len_bytes,
		uint8_t *copy);
/** Count a frame; does not return when its number is up. */
void dm_fault_frame(struct dm_faults *f);

#endif /* DM_FAULT_H */

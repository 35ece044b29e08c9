/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_WIRE_PRIV_H
#define DM_WIRE_PRIV_H

/**
 * @file
 * What each kind of wire gives to dm_wire.c. A wire embeds struct dm_wire as its first member.
 */

#include "dm_wire.h"

struct dm_wire_ops {
	/** Word before ':' or ',' of a specification. */
	const char *name;
	/** Character that must follow the name; '\0': nothing may follow. */
	char separator;
	/** The part after the separator may be left out. */
	bool arg_optional;
	int (*open)(const char *arg, struct dm_wire **wire);
	void (*close)(struct dm_wire *w);
	bool (*link_up)(const struct dm_wire *w);
	/** Takes unfinished frames. */
	bool unfinished;
	/** Called with 1 <= len <= DM_FRAME_MAX; dm_wire.c does the counting. */
	int (*send)(struct dm_wire *w, const struct lm_virtio_net_hdr *hdr,
			const struct iovec *iov, int iovcnt, uint32_t len);
	int (*unfinished_on)(struct dm_wire *w); /* may be NULL */
	/** Sets w->peek_hdr too, where it is not all 0. */
	uint32_t (*peek)(struct dm_wire *w, const uint8_t **frame);
	void (*pop)(struct dm_wire *w);
	void (*tick)(struct dm_wire *w, uint64_t now_ns); /* may be NULL */
};

struct dm_wire {
	const struct dm_wire_ops *ops;
	int fd; /* what dm_wire_fd() gives */
	uint32_t peek_len; /* of the frame that the last peek showed */
	struct lm_virtio_net_hdr peek_hdr;
	struct dm_wire_stats stats;
};

extern const struct dm_wire_ops dm_wire_null_ops;
extern const struct dm_wire_ops dm_wire_loop_ops;
extern const struct dm_wire_ops dm_wire_link_ops;
extern const struct dm_wire_ops dm_wire_listen_ops;
extern const struct dm_wire_ops dm_wire_gen_ops;
extern const struct dm_wire_ops dm_wire_tap_ops;

/** Copy @p iov together into @p buf, which is large enough. */
void dm_wire_gather(uint8_t *buf, const struct iovec *iov, int iovcnt);

#endif /* DM_WIRE_PRIV_H */

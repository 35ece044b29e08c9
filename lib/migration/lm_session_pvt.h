/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_SESSION_PVT_H
#define LM_SESSION_PVT_H

/**
 * @file
 * What both sides of a migration share: what the peer has said (lm_session_peer.c), waits and
 * phases (lm_session.c), and members' streams while a thread of the group is in them
 * (lm_session_io.c).
 */

#include <pthread.h>
#include <stdatomic.h>

#include "lm_session.h"

#define LM_SESSION_SLICE_US 100000u /* of saving or loading, between two looks at the rest */

/** What the control connection has brought; under the session's lock. */
struct lm_peer {
	bool closed; /* nothing comes any more */
	int closed_error;
	bool deaf;   /* control is closed: it hears nothing either */
	bool aborted;
	int abort_error;
	char text[LM_RECORD_TEXT_BYTES + 64]; /* of closed or aborted */
	/* The outgoing side's. */
	bool has_verdict;
	int verdict_error;
	char verdict_text[LM_RECORD_TEXT_BYTES];
	bool prepared, loaded, running;
	struct lm_record_took prepared_took, loaded_took, running_took;
	uint64_t fenced;       /* highest id */
	uint32_t *acked;       /* by member: generation + 1; 0: none yet */
	/* The incoming side's. */
	void *compat;
	uint32_t compat_bytes;
	bool commit;
};

struct lm_session {
	bool outgoing;
	struct lm_channel *channel;
	struct lm_group *group;
	struct lm_timeline *timeline;
	uint64_t deadline_us;
	lm_session_progress_t progress;
	void *ctx;
	uint64_t *calls_before; /* by member: lm_group_calls() when the session began */
	uint64_t *calls_at_stop;
	uint64_t began_ns;
	uint64_t phase_ns;         /* when the phase began */
	uint64_t phase_sent_bytes; /* what the channel had sent or received then */

	pthread_mutex_t lock; /* protects all below */
	pthread_cond_t bell;
	unsigned int threads; /* that use this session */
	bool ending;
	bool cancelled;
	bool committed; /* COMMIT may have been sent; has come */
	struct lm_peer peer;
	struct lm_report report;
};

/** A member's stream. The lock is held while its thread uses the session, never inside a device. */
struct lm_io_member {
	pthread_mutex_t lock;
	bool revoked; /* late: the session may be gone */
	uint8_t *buf;
	uint64_t offset; /* in the member's stream */
	uint64_t early_bytes;
	bool ended;
	/* Outgoing. */
	bool reading;          /* has its stream open: PRE_COPY, later all */
	bool has_info;
	bool drained;          /* nothing to be read now */
	bool early_known;      /* early_target is */
	bool early_sent;
	uint64_t early_target; /* offset at which all initial data is sent */
	uint32_t generation;
	uint64_t pending_bytes;
	unsigned int reinits;
	/* Incoming; under the session's lock. */
	struct lm_chunk *first, *last;
	uint64_t queued_bytes;
};

struct lm_io {
	_Atomic unsigned int refs;
	struct lm_session *session; /* valid while a member is not revoked */
	struct lm_group *group;
	bool saving; /* STOP_COPY: to the end */
	unsigned int nb;
	struct lm_io_member members[];
};

/* lm_session.c */

int lm_session_init(struct lm_session *s, unsigned int nb_members);
/** Ends threads, frees; the channel too. */
void lm_session_fini(struct lm_session *s);
/** The first failure is the one that is reported. @return error */
int lm_session_fail(struct lm_session *s, int error, const char *fmt, ...);
/** Likewise, of a group call. */
int lm_session_fail_group(struct lm_session *s, int error);
/**
 * A connection is gone, and why is told on control, a moment later: fail for that.
 * @return as lm_session_wait(); -ETIMEDOUT: nothing was told, and nothing has failed
 */
int lm_session_last_words(struct lm_session *s);
/** Likewise, of a send. */
int lm_session_fail_send(struct lm_session *s, int error, const char *what);
void lm_session_phase(struct lm_session *s, enum lm_phase phase);
/** The last phase ends. */
void lm_session_phase_end(struct lm_session *s);
void lm_session_tell(struct lm_session *s);

#define LM_WAIT_FINAL 0x1u /* cancel does not end it */
/**
 * Wait until ready says so. @return 0; -EREMOTEIO: the peer gave up; -ECANCELED; -ETIMEDOUT; the
 * error of a peer that is gone
 */
int lm_session_wait(struct lm_session *s, const char *what, uint64_t wait_us, unsigned int flags,
		bool (*ready)(const struct lm_session *s, uint64_t arg), uint64_t arg);
/** Anything that ends a session early? Cheap; called between slices. @return 0 or the error */
int lm_session_check(struct lm_session *s);
int lm_session_send(struct lm_session *s, uint16_t type, const void *payload, size_t len_bytes);
/** Tell the peer, as far as it still listens. */
void lm_session_abort(struct lm_session *s);
/** A thread of this session begins; lm_session_thread_end() is its last act. */
int lm_session_thread(struct lm_session *s, const char *name, void *(*fn)(void *), void *arg);
void lm_session_thread_end(struct lm_session *s);
void lm_session_wait_locked(struct lm_session *s, uint64_t until_ns);
void lm_session_member(struct lm_session *s, const struct lm_io *io, unsigned int member,
		struct lm_member_report *report);

/* lm_session_peer.c */

/** Reads the control connection until its end. */
void *lm_session_peer_main(void *session);
/** Nothing comes any more from this connection: the session is over, before COMMIT. */
void lm_session_closed(struct lm_session *s, unsigned int conn, int error);

/* lm_session_io.c */

int lm_io_create(struct lm_session *s, unsigned int nb, struct lm_io **io);
/** From now on no member's thread uses the session; the channel was broken before. */
void lm_io_revoke(struct lm_io *io);
/** The last one to leave frees it. NULL is allowed, here and above. */
void lm_io_drop(struct lm_io *io);
struct lm_io_member *lm_io_enter(struct lm_io *io, unsigned int member);
void lm_io_leave(struct lm_io *io);
/** After a call into the device: @return false, unlocked, when this member was given up */
bool lm_io_lock(struct lm_io *io, struct lm_io_member *m);
void lm_io_unlock(struct lm_io_member *m);

/* lm_ram_send.c */

struct lm_ram_sender;

int lm_ram_sender_create(struct lm_session *s, struct lm_ram *ram, bool zstd,
		struct lm_ram_sender **sender);
/** Its threads have ended: lm_session_fini() comes first. NULL is allowed. */
void lm_ram_sender_destroy(struct lm_ram_sender *sender);
/** Begin to send what is dirty, at most so many bytes; pass as lm_ram_take(). */
void lm_ram_sender_start(struct lm_ram_sender *sender, bool pass, uint64_t budget_bytes);
/** @return true: the round is over, its result in *error */
bool lm_ram_sender_done(struct lm_ram_sender *sender, uint64_t wait_us, int *error);
void lm_ram_sender_report(const struct lm_ram_sender *sender, struct lm_ram_report *report);

/* lm_ram_recv.c */

/** @return 0; -ERANGE: no such region; -EBADMSG: cannot be unpacked */
int lm_ram_receive(struct lm_ram *ram, const struct lm_record *rec, struct lm_ram_report *report);

#endif /* LM_SESSION_PVT_H */

/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_STATE_H
#define LM_STATE_H

/**
 * @file
 * Migration states of a device, how they follow each other, and how a driver is walked through
 * them.
 *
 * States, flags and transitions are those of VFIO's migration protocol version 2, with the same
 * numbers (linux/vfio.h of Linux 6.3 or newer, "enum vfio_device_mig_state"). A driver implements
 * single arcs only; which arcs it has to have follows from its flags:
 *
 *  - always: STOP <-> STOP_COPY, STOP <-> RESUMING
 *  - without P2P: RUNNING <-> STOP
 *  - P2P: RUNNING <-> RUNNING_P2P, RUNNING_P2P <-> STOP
 *  - PRE_COPY: RUNNING <-> PRE_COPY; without P2P also PRE_COPY -> STOP_COPY
 *  - PRE_COPY and P2P: PRE_COPY <-> PRE_COPY_P2P, PRE_COPY_P2P <-> RUNNING_P2P,
 *    PRE_COPY_P2P -> STOP_COPY
 *
 * Any other transition is a path of these: the shortest that has no saving state (PRE_COPY,
 * PRE_COPY_P2P, STOP_COPY) inside. Two more rules: PRE_COPY -> STOP_COPY goes through
 * PRE_COPY_P2P where there is one, and STOP_COPY never goes back to PRE_COPY or PRE_COPY_P2P.
 * Ask lm_state_next() before a device: Linux before June 2026 may never return from these two.
 *
 * Nothing here keeps state of its own: any thread, but one walk at a time per device.
 */

#include <stdint.h>

enum lm_state {
	LM_STATE_ERROR = 0,        /* undefined; left by a reset only, never asked for */
	LM_STATE_STOP = 1,         /* no DMA, no interrupts, nothing changes */
	LM_STATE_RUNNING = 2,      /* normal; also after open and after a reset */
	LM_STATE_STOP_COPY = 3,    /* as STOP, and its state can be read */
	LM_STATE_RESUMING = 4,     /* as STOP, and takes a state */
	LM_STATE_RUNNING_P2P = 5,  /* answers its peers, starts nothing by itself */
	LM_STATE_PRE_COPY = 6,     /* as RUNNING, and its state can be read and read again */
	LM_STATE_PRE_COPY_P2P = 7, /* as RUNNING_P2P, likewise */
};

#define LM_STATE_NB 8u
/** Most arcs that a transition can take: RESUMING to PRE_COPY. */
#define LM_STATE_PATH_MAX 4u

/** What a device offers. The first is mandatory; bits beyond these are ignored everywhere. */
#define LM_STATE_F_STOP_COPY (UINT64_C(1) << 0)
#define LM_STATE_F_P2P (UINT64_C(1) << 1)
#define LM_STATE_F_PRE_COPY (UINT64_C(1) << 2)

/** As VFIO spells it, without its prefix; "unknown" beyond the last. Static. */
const char *lm_state_name(enum lm_state state);

/** The flags without which a device has no such state; all bits for ERROR and beyond the last. */
uint64_t lm_state_needs(enum lm_state state);

/**
 * The first state on the way from one to another; to itself when it is there already.
 *
 * @param next left alone on an error
 * @return 0; -EINVAL: no such way, among them any that begins or ends in ERROR, or in a state that
 * flags do not offer
 */
int lm_state_next(enum lm_state from, enum lm_state to, uint64_t flags, enum lm_state *next);

/**
 * All of the way, without "from"; the last one is "to".
 *
 * @return number of arcs, 0 when from is to; -EINVAL as lm_state_next()
 */
int lm_state_path(enum lm_state from, enum lm_state to, uint64_t flags,
		enum lm_state path[LM_STATE_PATH_MAX]);

/** One single arc of a driver; a row of its const table. */
struct lm_state_arc {
	enum lm_state from;
	enum lm_state to;
	/** Where to go when fn failed; LM_STATE_ERROR: nowhere, reset it. */
	enum lm_state recover;
	/**
	 * Take the device along this arc, all the way. It opens and closes the data stream where
	 * the arc does, also when it fails.
	 *
	 * @return 0, or -errno: the device may then be in either state, or in ERROR
	 */
	int (*fn)(void *dev, enum lm_state from, enum lm_state to);
};

/** What a driver gives to be walked. Const, shared by all its devices that have these flags. */
struct lm_state_machine {
	uint64_t flags;
	/** In any order; rows that only other flags use do not harm. */
	const struct lm_state_arc *arcs;
	unsigned int nb_arcs;
	/**
	 * Ask the device, never a copy: this decides where it is. It may give what it likes; a
	 * state that is not known here, or not offered by flags, counts as ERROR.
	 *
	 * @return 0 or -errno
	 */
	int (*state)(void *dev, enum lm_state *state);
	/**
	 * Bring the device to RUNNING from anywhere, empty, its data streams dead. What has to
	 * come before a reset (some servers refuse one while stopped) is hidden in here. NULL when
	 * there is no reset.
	 *
	 * @return 0 or -errno
	 */
	int (*reset)(void *dev);
};

enum lm_state_outcome {
	LM_STATE_REFUSED,   /* nothing was done to the device */
	LM_STATE_ARRIVED,   /* it is where it was wanted */
	LM_STATE_RECOVERED, /* an arc failed; it is in the state that the row names */
	LM_STATE_RESET,     /* an arc failed; it was reset, is RUNNING, and what it held is gone */
	LM_STATE_LOST,      /* neither; it must not be trusted, and may do DMA */
};

/** What became of a walk, for messages and for deciding what comes next. */
struct lm_state_result {
	enum lm_state_outcome outcome;
	/** As the device said last; ERROR also when it did not or could not say. */
	enum lm_state at;
	/** The arc that failed first; ERROR, ERROR when none did. */
	enum lm_state failed_from;
	enum lm_state failed_to;
	/** Calls into the driver, of any kind: each can be a round trip. */
	unsigned int nb_calls;
};

/**
 * Check a driver's table once, before its first walk: every arc that flags demand is there, no
 * row twice, none that no device could have, and each recover state can be had.
 *
 * A saving device is not recovered into STOP, see lm_state_walk(); none is recovered into RESUMING;
 * and after RESUMING -> STOP failed there is only reset: the arc's recover state is ERROR.
 *
 * @param bad NULL, or set to the index of the first bad row, or to nb_arcs when one is missing;
 * left alone otherwise
 * @return 0; -EINVAL: no STOP_COPY in flags, no state callback, or a bad row; -ENOENT: an arc is
 * missing
 */
int lm_state_machine_check(const struct lm_state_machine *machine, unsigned int *bad);

/**
 * Walk a device from where it is to another state, arc by arc, in the calling thread; takes as
 * long as the driver's calls take.
 *
 * The device is asked where it is before the first arc and after the last: one that claims success
 * and did not move has failed. After an arc that failed it is asked again, and from there is taken
 * to the row's recover state. That is tried once; if it fails, or the device is in ERROR, it is
 * reset. So is one that is found in RESUMING. No arc is ever started from ERROR.
 *
 * From PRE_COPY and PRE_COPY_P2P, STOP and RESUMING are refused: on that way the device would run
 * again first. Ask for STOP_COPY to stop it for good, or for RUNNING to give up, which throws the
 * saved state away.
 *
 * @param result always filled
 * @return 0: arrived. -EINVAL: no such way, or one that is refused; -EIO: the device is in ERROR,
 * call lm_state_reset(); -ENOTSUP: the driver lacks an arc of the way; -errno of the state
 * callback; all these with LM_STATE_REFUSED. Otherwise what the first arc that failed returned;
 * -EPROTO: it claimed success falsely, or returned more than 0. The result tells what followed.
 */
int lm_state_walk(const struct lm_state_machine *machine, void *dev, enum lm_state to,
		struct lm_state_result *result);

/**
 * Reset a device and see that it is RUNNING. What it held is gone.
 *
 * @param result always filled; LM_STATE_RESET or LM_STATE_LOST
 * @return 0; -ENOTSUP: it has no reset; -EPROTO: it is not RUNNING afterwards; -errno of the reset
 * or of the state callback
 */
int lm_state_reset(const struct lm_state_machine *machine, void *dev,
		struct lm_state_result *result);

#endif /* LM_STATE_H */

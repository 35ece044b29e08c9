/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_STREAM_H
#define LM_STREAM_H

/**
 * @file
 * Reading and writing the stream of one connection, or of a file: see lm_record.h. No I/O here:
 * the parser says where the next bytes go, whoever has them puts them there, in pieces of any
 * size. Nothing that is read is trusted.
 *
 * No locks: one thread at a time per parser and per writer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lm_record.h"

struct lm_stream_parser;

/** @return 0 or -ENOMEM */
int lm_stream_parser_create(struct lm_stream_parser **parser);
/** NULL is allowed. */
void lm_stream_parser_destroy(struct lm_stream_parser *parser);

/**
 * Where the next bytes go. What the last record pointed to is gone.
 * @param len_bytes how many fit; more than 0, save after an error
 */
void *lm_stream_space(struct lm_stream_parser *parser, size_t *len_bytes);
/**
 * So many bytes were put there.
 *
 * @param rec filled when 1 is returned; valid until lm_stream_space()
 * @return 1: a record is whole, its checksum and lm_record_check() are good; 0: more bytes are
 * needed; -EPROTO: no such stream; -EPROTONOSUPPORT: a version that is not ours; -EMSGSIZE: a
 * length beyond its type's limits; -EBADMSG: the checksum is wrong; -ENOTSUP: a mandatory type
 * that is not known; -ENOMEM. After an error, the same error for ever.
 */
int lm_stream_advance(struct lm_stream_parser *parser, size_t len_bytes, struct lm_record *rec);
/** Nothing is half read: here a stream may end. */
bool lm_stream_between(const struct lm_stream_parser *parser);
/** The last error in words: which record, where, what. Valid as long as the parser. */
const char *lm_stream_strerror(const struct lm_stream_parser *parser);
/** Records skipped so far, because they were not known and optional. */
uint64_t lm_stream_skipped(const struct lm_stream_parser *parser);

/** Number of the next record to be written; zero-filled to begin. */
struct lm_stream_writer {
	uint64_t number;
};

/** What every stream begins with. */
void lm_stream_begin(struct lm_stream_hdr *hdr);
/**
 * The header of the next record, whose payload is iov[0..nb).
 * @param type enum lm_record_type; whether it is mandatory is known
 */
void lm_stream_record(struct lm_stream_writer *writer, uint16_t type, const struct iovec *iov,
		unsigned int nb, struct lm_record_hdr *hdr);

#endif /* LM_STREAM_H */

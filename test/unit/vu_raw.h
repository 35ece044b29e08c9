/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef VU_RAW_H
#define VU_RAW_H

/**
 * @file
 * The other end of a vfio-user socket by hand: bytes from hexadecimal text, so that a vector does
 * not come from the structures under test.
 */

#include <stdint.h>

#define VU_RAW_MAX 4096u

/** Bytes of "01 02 0304"; blanks are skipped. @return their number */
uint32_t vu_hex(const char *text, uint8_t *out, uint32_t max);
/** Send bytes with descriptors in one sendmsg(). */
void vu_raw_send(int sock, const void *buf, uint32_t len_bytes, const int *fds, uint32_t nb_fds);
/**
 * Receive exactly one message without waiting; its descriptors are stored in fds[64].
 * @return its length, 0 at the end of the stream, -EAGAIN when there is none
 */
int vu_raw_recv(int sock, uint8_t *buf, uint32_t max, int *fds, uint32_t *nb_fds);
/** A message: header from its fields, payload from text. @return length */
uint32_t vu_raw_msg(uint8_t *out, uint16_t id, uint16_t command, uint32_t flags, uint32_t error,
		const char *payload);
/** "<4 bytes version> text NUL" for a VERSION payload. @return length of the whole message */
uint32_t vu_raw_version(uint8_t *out, uint16_t id, uint32_t flags, uint16_t major, uint16_t minor,
		const char *json);

#endif /* VU_RAW_H */

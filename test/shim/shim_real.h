/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef SHIM_REAL_H
#define SHIM_REAL_H

/** @file The C library's own functions, behind those that this library puts in front of them. */

#include <stddef.h>
#include <sys/types.h>

int real_close(int fd);
void *real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int real_munmap(void *addr, size_t len);

#endif /* SHIM_REAL_H */

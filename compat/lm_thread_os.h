/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_THREAD_OS_H
#define LM_THREAD_OS_H

/**
 * @file
 * Threads of code that is built without DPDK. They end by themselves and are never joined.
 */

#include <pthread.h>

/** name: at most 15 characters. @return 0 or -errno */
static inline int
lm_thread_os_start(const char *name, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t id;
	int ret;

	ret = pthread_attr_init(&attr);
	if (ret != 0)
		return -ret;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	ret = pthread_create(&id, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	if (ret == 0)
		pthread_setname_np(id, name);
	return -ret;
}

#endif /* LM_THREAD_OS_H */

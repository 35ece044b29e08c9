/* SPDX-License-Identifier: BSD-3-Clause */

/* As compare.c, for formats that are in the kernel's own headers: those of drivers. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "kernel_includes.h"
#include "our_includes.h"

#define ROW(kind, name, kernels, our_value, kernel_value) \
	printf("%s\t%s\t%s\t%llu\t%llu\n", kind, name, kernels, \
		(unsigned long long)(our_value), (unsigned long long)(kernel_value))
#define WIDTH(type, field) sizeof(((type *)NULL)->field)

int
main(void)
{
	ROW("version", "LINUX_VERSION_CODE", "", LINUX_VERSION_CODE, LINUX_VERSION_CODE);
#include "rows.h"
	return 0;
}

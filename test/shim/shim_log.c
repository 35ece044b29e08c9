/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdarg.h>
#include <stdlib.h>

#include "shim.h"

static void
say(const char *fmt, va_list args)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, args);
	fprintf(stderr, "vfio-shim: %s\n", text);
}

void
shim_log(const char *fmt, ...)
{
	va_list args;

	if (getenv("LM_SHIM_LOG") == NULL)
		return;
	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
}

void
shim_warn(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
}

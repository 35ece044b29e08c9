/* SPDX-License-Identifier: BSD-3-Clause */

/* What earlier migrations measured, kept in a file of one JSON object. */

#include <errno.h>
#include <string.h>

#include "mig.h"
#include "test_lm.h"

/* A file from elsewhere may say anything: a day, and a terabyte a second, are the most. */
#define MOST_US (UINT64_C(86400) * 1000000)
#define MOST_BYTES_PER_S (UINT64_C(1) << 40)

static uint64_t
number(const json_t *object, const char *name, uint64_t most)
{
	json_int_t n = json_integer_value(json_object_get(object, name));

	return n < 0 ? 0 : (uint64_t)n > most ? most : (uint64_t)n;
}

void
mig_calibration_read(const char *path, struct lm_calibration *c)
{
	json_error_t error;
	json_t *o;
	unsigned int i;

	memset(c, 0, sizeof(*c));
	o = json_load_file(path, 0, &error);
	if (o == NULL) {
		if (json_error_code(&error) != json_error_cannot_open_file)
			test_lm_error("%s: line %d: %s; predictions begin anew", path, error.line,
				error.text);
		return;
	}
	for (i = 0; i < LM_PHASE_NB; i++)
		c->phase_us[i] = number(o, lm_phase_name((enum lm_phase)i), MOST_US);
	c->transfer_bytes_per_s = number(o, "transfer-bytes-per-s", MOST_BYTES_PER_S);
	c->runs = (unsigned int)number(o, "runs", UINT16_MAX);
	json_decref(o);
}

int
mig_calibration_write(const char *path, const struct lm_calibration *c)
{
	json_t *o = json_object();
	unsigned int i;
	int ret = 0;

	for (i = LM_PHASE_QUIESCE; i <= LM_PHASE_RESUME; i++)
		ret |= json_object_set_new(o, lm_phase_name((enum lm_phase)i),
				json_integer((json_int_t)c->phase_us[i]));
	ret |= json_object_set_new(o, "transfer-bytes-per-s",
			json_integer((json_int_t)c->transfer_bytes_per_s));
	ret |= json_object_set_new(o, "runs", json_integer((json_int_t)c->runs));
	if (ret != 0 || json_dump_file(o, path, JSON_INDENT(2)) != 0) {
		test_lm_error("%s: what was measured could not be kept", path);
		ret = -EIO;
	}
	json_decref(o);
	return ret;
}

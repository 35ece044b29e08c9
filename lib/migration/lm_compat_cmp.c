/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lm_bits.h"
#include "lm_compat_rec.h"

struct reasons {
	char *text;
	size_t left_bytes;
	unsigned int nb;
};

static void
reason(struct reasons *r, const char *fmt, ...)
{
	va_list args;
	int n = 0;

	if (r->nb++ != 0)
		n = snprintf(r->text, r->left_bytes, "; ");
	if (n < 0 || (size_t)n >= r->left_bytes)
		return;
	r->text += n;
	r->left_bytes -= (size_t)n;
	va_start(args, fmt);
	n = vsnprintf(r->text, r->left_bytes, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= r->left_bytes)
		n = (int)r->left_bytes - 1;
	r->text += n;
	r->left_bytes -= (size_t)n;
}

static void
compare_text(struct reasons *r, const char *name, const char *what, const char *src,
		const char *dst)
{
	if (strcmp(src, dst) != 0)
		reason(r, "%s: %s is \"%s\" at the source and \"%s\" here", name, what, src, dst);
}

static void
compare_flags(struct reasons *r, const struct lm_compat_member *src,
		const struct lm_compat_member *dst)
{
	if ((src->flags & LM_STATE_F_PRE_COPY) != 0 && (dst->flags & LM_STATE_F_PRE_COPY) == 0)
		reason(r, "%s: pre-copies at the source and cannot take that here", src->name);
	if ((dst->flags & LM_STATE_F_STOP_COPY) == 0)
		reason(r, "%s: cannot migrate here", src->name);
}

static void
compare_resources(struct reasons *r, const struct lm_compat_member *src,
		const struct lm_compat_member *dst)
{
	unsigned int i;

	for (i = 0; i < LM_COMPAT_BARS; i++)
		if (src->bar_bytes[i] != dst->bar_bytes[i])
			reason(r, "%s: BAR %u has %" PRIu64 " bytes at the source and %" PRIu64
				" here", src->name, i, src->bar_bytes[i], dst->bar_bytes[i]);
	if (src->nb_msix != dst->nb_msix)
		reason(r, "%s: %u MSI-X vectors at the source and %u here", src->name, src->nb_msix,
			dst->nb_msix);
	/* What was mapped with the source's smallest page must be mappable here. */
	if (src->page_sizes != 0 && dst->page_sizes != 0 &&
			lm_bits_lowest(dst->page_sizes) > lm_bits_lowest(src->page_sizes))
		reason(r, "%s: is mapped in pages of %" PRIu64 " bytes at the source, of at least %"
			PRIu64 " here", src->name,
			UINT64_C(1) << lm_bits_lowest(src->page_sizes),
			UINT64_C(1) << lm_bits_lowest(dst->page_sizes));
}

static bool
reachable(const struct lm_compat_member *m, uint64_t addr, uint64_t size_bytes)
{
	unsigned int i;

	for (i = 0; i < m->nb_iovas; i++)
		if (addr >= m->iovas[i].addr && size_bytes <= m->iovas[i].len_bytes &&
				addr - m->iovas[i].addr <= m->iovas[i].len_bytes - size_bytes)
			return true;
	return m->nb_iovas == 0;
}

static void
compare_iovas(struct reasons *r, const struct lm_compat *src, const struct lm_compat_member *dst)
{
	const struct lm_compat_region *region;
	unsigned int i;

	for (i = 0; i < src->nb_regions; i++) {
		region = &src->regions[i];
		if (!reachable(dst, region->addr, region->size_bytes))
			reason(r, "%s: region %s at 0x%" PRIx64 " is out of its reach here",
				dst->name, region->name, region->addr);
	}
}

static unsigned int
find_member(const struct lm_compat *c, const char *name)
{
	unsigned int i;

	for (i = 0; i < c->nb_members; i++)
		if (strcmp(c->members[i].name, name) == 0)
			break;
	return i;
}

static void
compare_members(struct reasons *r, const struct lm_compat *src, const struct lm_compat *dst,
		unsigned int *members)
{
	const struct lm_compat_member *s, *d;
	unsigned int i, at;

	if (src->nb_members != dst->nb_members)
		reason(r, "%u devices at the source and %u here", src->nb_members, dst->nb_members);
	for (i = 0; i < src->nb_members; i++) {
		s = &src->members[i];
		at = find_member(dst, s->name);
		if (members != NULL)
			members[i] = at;
		if (at == dst->nb_members) {
			reason(r, "there is no device \"%s\" here", s->name);
			continue;
		}
		d = &dst->members[at];
		compare_text(r, s->name, "its provider", s->provider, d->provider);
		compare_text(r, s->name, "the device", s->device, d->device);
		compare_text(r, s->name, "its firmware", s->firmware, d->firmware);
		compare_flags(r, s, d);
		compare_resources(r, s, d);
		compare_iovas(r, src, d);
	}
}

static void
compare_regions(struct reasons *r, const struct lm_compat *src, const struct lm_compat *dst)
{
	const struct lm_compat_region *s, *d;
	unsigned int i;

	if (src->page_bytes != dst->page_bytes)
		reason(r, "pages of %u bytes at the source and of %u here", src->page_bytes,
			dst->page_bytes);
	if (src->nb_regions != dst->nb_regions)
		reason(r, "%u RAM regions at the source and %u here", src->nb_regions,
			dst->nb_regions);
	for (i = 0; i < src->nb_regions && i < dst->nb_regions; i++) {
		s = &src->regions[i];
		d = &dst->regions[i];
		if (s->addr != d->addr || s->size_bytes != d->size_bytes ||
				strcmp(s->name, d->name) != 0)
			reason(r, "region %s is 0x%" PRIx64 " + 0x%" PRIx64
				" at the source, %s 0x%" PRIx64 " + 0x%" PRIx64 " here", s->name,
				s->addr, s->size_bytes, d->name, d->addr, d->size_bytes);
	}
}

static void
compare_windows(struct reasons *r, const struct lm_compat_window *s,
		const struct lm_compat_window *d)
{
	if (s->addr != d->addr || s->size_bytes != d->size_bytes)
		reason(r, "the window is 0x%" PRIx64 " + 0x%" PRIx64 " at the source and 0x%" PRIx64
			" + 0x%" PRIx64 " here", s->addr, s->size_bytes, d->addr, d->size_bytes);
	if (s->page_bytes != d->page_bytes)
		reason(r, "the window has pages of %" PRIu64 " bytes at the source and of %" PRIu64
			" here", s->page_bytes, d->page_bytes);
	if (s->element_bytes != d->element_bytes || s->headroom_bytes != d->headroom_bytes)
		reason(r, "buffers of %u bytes with %u headroom at the source, %u with %u here",
			s->element_bytes, s->headroom_bytes, d->element_bytes, d->headroom_bytes);
}

int
lm_compat_compare(const struct lm_compat *src, const struct lm_compat *dst, char *why,
		size_t why_bytes, unsigned int *members)
{
	struct reasons r = { .text = why, .left_bytes = why_bytes };

	why[0] = '\0';
	compare_members(&r, src, dst, members);
	compare_regions(&r, src, dst);
	compare_windows(&r, &src->window, &dst->window);
	return r.nb == 0 ? 0 : -EXDEV;
}

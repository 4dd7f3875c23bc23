/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names that others have chosen (processes, interrupts, devices), made fit to be shown.
 */
#include "parse.h"

/* Bytes of the UTF-8 character at @p, 0 when it is none (RFC 3629: no overlong form, no surrogate, at most U+10FFFF). */
static size_t character(const unsigned char *p, size_t len)
{
	size_t n = p[0] < 0x80 ? 1 :
		   p[0] < 0xc2 ? 0 :
		   p[0] < 0xe0 ? 2 :
		   p[0] < 0xf0 ? 3 :
		   p[0] < 0xf5 ? 4 :
				 0;

	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))
		return 0;
	if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* C0, DEL and C1: the last are two bytes in UTF-8. */
static bool is_control(const unsigned char *p, size_t n)
{
	return n == 1 ? *p < 0x20 || *p == 0x7f : n == 2 && p[0] == 0xc2 && p[1] < 0xa0;
}

size_t cb_text_copy(const char *buf, size_t len, char *ret, size_t size)
{
	const unsigned char *p = (const unsigned char *)buf;
	size_t out = 0;

	if (size == 0)
		return 0;
	/* Nearly all names are nothing but plain characters. */
	while (out < len && out < size - 1 && p[out] >= 0x20 && p[out] < 0x7f)
		out++;
	memcpy(ret, buf, out);
	for (size_t i = out; i < len;) {
		size_t n = character(p + i, len - i);
		bool shown = n > 0 && !is_control(p + i, n);
		size_t need = shown ? n : 1;

		if (need > size - 1 - out)
			break;
		if (shown)
			memcpy(ret + out, p + i, n);
		else
			ret[out] = '?';
		out += need;
		i += n > 0 ? n : 1;
	}
	ret[out] = '\0';
	return out;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Selectors as text and back, and whether a socket or a path is meant. Addresses are compared as bytes; what a name stands
 * for is nobody's business here, so there are no host or service names.
 */
#include "cpubalance/selector.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cpubalance/scan.h"

const char *cb_protocol_name(enum cb_protocol protocol)
{
	switch (protocol) {
	case CB_PROTOCOL_TCP:
		return "tcp";
	case CB_PROTOCOL_UDP:
		return "udp";
	case _CB_PROTOCOL_MAX:
	case _CB_PROTOCOL_INVALID:
		break;
	}
	return "?";
}

bool cb_selector_names_processes(const struct cb_selector *selector)
{
	return selector->unit[0] || selector->cgroup[0] || selector->process[0];
}

bool cb_selector_empty(const struct cb_selector *selector)
{
	return selector->n_listen == 0 && !cb_selector_names_processes(selector);
}

/* --- addresses --- */

/* ::ffff:10.0.0.1 is 10.0.0.1: the same packets reach it. */
static void unmap(struct cb_listen *listen)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (listen->family != CB_ADDRESS_V6 || memcmp(listen->address, mapped, sizeof(mapped)) != 0)
		return;
	listen->family = CB_ADDRESS_V4;
	memmove(listen->address, listen->address + sizeof(mapped), 4);
	memset(listen->address + 4, 0, sizeof(listen->address) - 4);
}

static bool parse_port(struct cb_scan *s, uint16_t *ret)
{
	uint32_t port;

	if (!cb_scan_u32(s, &port) || !cb_scan_done(s) || port == 0 || port > UINT16_MAX)
		return false;
	*ret = (uint16_t)port;
	return true;
}

static bool parse_address(const char *p, size_t len, enum cb_address_family family,
			  struct cb_listen *ret)
{
	char text[INET6_ADDRSTRLEN];

	if (len == 0 || len >= sizeof(text))
		return false;
	memcpy(text, p, len);
	text[len] = 0;
	ret->family = family;
	if (inet_pton(family == CB_ADDRESS_V4 ? AF_INET : AF_INET6, text, ret->address) != 1)
		return false;
	unmap(ret);
	return true;
}

int cb_listen_parse(const char *text, size_t len, struct cb_listen *ret)
{
	struct cb_listen listen = { .family = CB_ADDRESS_ANY };
	struct cb_scan s = CB_SCAN(text, len);
	const char *end;

	if (cb_scan_word(&s, "udp:"))
		listen.protocol = CB_PROTOCOL_UDP;
	else if (!cb_scan_word(&s, "tcp:"))
		return -EINVAL;
	if (cb_scan_char(&s, '[')) {
		end = memchr(s.p, ']', (size_t)(s.end - s.p));
		if (!end || !parse_address(s.p, (size_t)(end - s.p), CB_ADDRESS_V6, &listen))
			return -EINVAL;
		s.p = end + 1;
		if (!cb_scan_char(&s, ':'))
			return -EINVAL;
	} else if ((end = memchr(s.p, ':', (size_t)(s.end - s.p)))) {
		if (!parse_address(s.p, (size_t)(end - s.p), CB_ADDRESS_V4, &listen))
			return -EINVAL;
		s.p = end + 1;
	}
	if (!parse_port(&s, &listen.port))
		return -EINVAL;
	*ret = listen;
	return 0;
}

const char *cb_listen_format(const struct cb_listen *listen, char *buf, size_t size)
{
	char address[INET6_ADDRSTRLEN] = "?";
	const char *protocol = cb_protocol_name(listen->protocol);

	if (listen->family == CB_ADDRESS_ANY) {
		snprintf(buf, size, "%s:%u", protocol, listen->port);
		return buf;
	}
	(void)inet_ntop(listen->family == CB_ADDRESS_V4 ? AF_INET : AF_INET6, listen->address,
			address, sizeof(address));
	snprintf(buf, size, listen->family == CB_ADDRESS_V4 ? "%s:%s:%u" : "%s:[%s]:%u", protocol,
		 address, listen->port);
	return buf;
}

int cb_listen_parse_list(const char *text, struct cb_listen ret[CB_LISTEN_MAX], uint32_t *ret_n)
{
	struct cb_listen list[CB_LISTEN_MAX] = { 0 };
	struct cb_scan s = CB_SCAN(text, strlen(text));
	const char *word;
	uint32_t n = 0;
	size_t len;
	int r;

	for (cb_scan_blanks(&s); cb_scan_token(&s, &word, &len); cb_scan_blanks(&s)) {
		if (n == CB_LISTEN_MAX)
			return -ERANGE;
		r = cb_listen_parse(word, len, &list[n++]);
		if (r < 0)
			return r;
	}
	if (!cb_scan_done(&s))
		return -EINVAL;
	memcpy(ret, list, sizeof(list));
	*ret_n = n;
	return 0;
}

bool cb_listen_matches(const struct cb_listen *wanted, const struct cb_listen *socket)
{
	struct cb_listen a = *wanted, b = *socket;

	if (a.protocol != b.protocol || a.port != b.port)
		return false;
	if (a.family == CB_ADDRESS_ANY)
		return true;
	unmap(&a);
	unmap(&b);
	return a.family == b.family &&
	       memcmp(a.address, b.address, a.family == CB_ADDRESS_V4 ? 4 : 16) == 0;
}

/* --- processes --- */

static int copy_text(const char *text, size_t max, char *ret)
{
	size_t len = strlen(text);

	if (len >= max)
		return -ERANGE;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return -EINVAL;
	memset(ret, 0, max);
	memcpy(ret, text, len);
	return 0;
}

int cb_selector_parse_unit(const char *text, char ret[CB_SELECTOR_TEXT_MAX])
{
	const char *dot = strrchr(text, '.');

	/* A name without its kind would be no directory; "nginx" is a frequent slip. */
	if (text[0] && (!dot || dot == text || !dot[1] || strchr(text, '/')))
		return -EINVAL;
	return copy_text(text, CB_SELECTOR_TEXT_MAX, ret);
}

int cb_selector_parse_cgroup(const char *text, char ret[CB_SELECTOR_TEXT_MAX])
{
	int r;

	if (text[0] && (text[0] != '/' || !text[1]))
		return -EINVAL;
	r = copy_text(text, CB_SELECTOR_TEXT_MAX, ret);
	for (size_t len = strlen(text); r == 0 && len > 1 && ret[len - 1] == '/'; len--)
		ret[len - 1] = 0;
	return r;
}

int cb_selector_parse_process(const char *text, char ret[CB_SELECTOR_TEXT_MAX])
{
	if (text[0] && text[0] != '/' && strchr(text, '/'))
		return -EINVAL;
	return copy_text(text, CB_SELECTOR_TEXT_MAX, ret);
}

bool cb_selector_path_in_unit(const char *path, size_t len, const char *unit)
{
	size_t unit_len = strlen(unit);

	for (const char *p = path, *end = path + len; p < end;) {
		const char *slash = memchr(p, '/', (size_t)(end - p));
		size_t part = (size_t)((slash ? slash : end) - p);

		if (part == unit_len && part > 0 && memcmp(p, unit, part) == 0)
			return true;
		p += part + 1;
	}
	return false;
}

static bool ends_in(const char *text, size_t len, const char *suffix)
{
	size_t suffix_len = strlen(suffix);

	return len > suffix_len && memcmp(text + len - suffix_len, suffix, suffix_len) == 0;
}

int cb_selector_unit_of_path(const char *path, char ret[CB_SELECTOR_TEXT_MAX])
{
	size_t part;

	/* That is outside of our cgroup namespace: a unit of another manager's. */
	if (strncmp(path, "/..", 3) == 0)
		return -ENOENT;
	for (path += path[0] == '/'; path[0]; path += part + (path[part] == '/')) {
		part = strcspn(path, "/");
		if (ends_in(path, part, ".scope"))
			return -ENOENT;
		if (!ends_in(path, part, ".service"))
			continue;
		if (part >= CB_SELECTOR_TEXT_MAX)
			return -ERANGE;
		memset(ret, 0, CB_SELECTOR_TEXT_MAX);
		memcpy(ret, path, part);
		return 0;
	}
	return -ENOENT;
}

bool cb_selector_path_below(const char *path, size_t len, const char *cgroup)
{
	size_t cgroup_len = strlen(cgroup);

	return len >= cgroup_len && memcmp(path, cgroup, cgroup_len) == 0 &&
	       (len == cgroup_len || path[cgroup_len] == '/');
}

static void append(char *buf, size_t size, const char *name, const char *value)
{
	size_t len = strlen(buf);

	if (value[0] && len < size)
		snprintf(buf + len, size - len, "%s%s%s", len > 0 ? " " : "", name, value);
}

const char *cb_selector_format(const struct cb_selector *selector, char *buf, size_t size)
{
	char text[CB_LISTEN_TEXT_MAX];

	if (size == 0)
		return buf;
	buf[0] = 0;
	for (uint32_t i = 0; i < selector->n_listen; i++)
		append(buf, size, "", cb_listen_format(&selector->listen[i], text, sizeof(text)));
	append(buf, size, "Unit=", selector->unit);
	append(buf, size, "Cgroup=", selector->cgroup);
	append(buf, size, "Process=", selector->process);
	return buf;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What an operator says instead of pids: the service on a port, a unit, a cgroup, a program. All that a selector names has
 * to hold for a process (intersection); of several addresses one is enough. Pure: sockets and processes are read elsewhere.
 */

#include <stdbool.h>

#include "cpubalance/err.h"
#include "cpubalance/macro.h"

#define CB_LISTEN_MAX 8u        /* addresses of one group */
#define CB_LISTEN_TEXT_MAX 64u  /* one of them as text, with its NUL */
#define CB_SELECTOR_TEXT_MAX 256u

enum cb_protocol {
	CB_PROTOCOL_TCP,
	CB_PROTOCOL_UDP,
	_CB_PROTOCOL_MAX,
	_CB_PROTOCOL_INVALID = -22,
};
const char *cb_protocol_name(enum cb_protocol protocol); /* "tcp" */

enum cb_address_family {
	CB_ADDRESS_ANY, /* of a selector alone: every address, both families */
	CB_ADDRESS_V4,
	CB_ADDRESS_V6,
	_CB_ADDRESS_MAX,
	_CB_ADDRESS_INVALID = -22,
};

/* Where a socket waits for clients. All bytes that mean nothing are 0, so that equal ones are equal to the byte. */
struct cb_listen {
	enum cb_protocol protocol;
	enum cb_address_family family;
	uint16_t port;       /* 1 to 65535 */
	uint8_t address[16]; /* network order; 4 bytes of it for V4 */
};

struct cb_selector {
	uint32_t n_listen;
	struct cb_listen listen[CB_LISTEN_MAX]; /* Listen= */
	char unit[CB_SELECTOR_TEXT_MAX];        /* Unit=, "" for none */
	char cgroup[CB_SELECTOR_TEXT_MAX];      /* Cgroup=, begins with '/' */
	char process[CB_SELECTOR_TEXT_MAX];     /* Process=: comm, last part of the program's path, or the whole path */
};

bool cb_selector_empty(const struct cb_selector *selector);
/* Something but Listen= is named. */
bool cb_selector_names_processes(const struct cb_selector *selector);

/* "tcp:443", "udp:[::]:53", "tcp:10.0.0.1:8080". Returns 0 or -EINVAL. */
int cb_listen_parse(const char *text, size_t len, struct cb_listen *ret) _must_check_;
/* The same back; "tcp:443" for every address. Returns @buf. */
const char *cb_listen_format(const struct cb_listen *listen, char *buf, size_t size);
/* Blank-separated ones. Returns 0, -EINVAL, or -ERANGE for more than CB_LISTEN_MAX. */
int cb_listen_parse_list(const char *text, struct cb_listen ret[CB_LISTEN_MAX], uint32_t *ret_n) _must_check_;

/*
 * Whether a socket bound to @socket is what @wanted names. Without an address any is; with one it is the address that the
 * socket is bound to, not those that reach it: 10.0.0.1 is not 0.0.0.0. An IPv4 address in IPv6 clothes is the IPv4 one.
 */
bool cb_listen_matches(const struct cb_listen *wanted, const struct cb_listen *socket);

/* The values of Unit=, Cgroup=, Process= into a field. Return 0, -EINVAL or -ERANGE; @ret is untouched on failure. */
int cb_selector_parse_unit(const char *text, char ret[CB_SELECTOR_TEXT_MAX]) _must_check_;
int cb_selector_parse_cgroup(const char *text, char ret[CB_SELECTOR_TEXT_MAX]) _must_check_;
int cb_selector_parse_process(const char *text, char ret[CB_SELECTOR_TEXT_MAX]) _must_check_;

/* Does a cgroup path, as proc/PID/cgroup shows it, belong to the unit; is it @cgroup or below it? */
bool cb_selector_path_in_unit(const char *path, size_t len, const char *unit);
bool cb_selector_path_below(const char *path, size_t len, const char *cgroup);

/*
 * The service that a cgroup path belongs to, "nginx.service" of /system.slice/nginx.service/workers: the first part that is a
 * service or a scope. Returns 0; -ENOENT when there is none, or it is a scope: of a session, or a container; -ERANGE.
 */
int cb_selector_unit_of_path(const char *path, char ret[CB_SELECTOR_TEXT_MAX]) _must_check_;

/* All of it as one line for people, "tcp:443 Unit=nginx.service"; shortened. Returns @buf. */
const char *cb_selector_format(const struct cb_selector *selector, char *buf, size_t size);

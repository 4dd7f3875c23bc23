/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A whole datagram of sock_diag as it may arrive: several messages, cut short, of other dumps, lying about their lengths. */
#include "lib/host/netlink_diag.c" /* for the part of it that takes a datagram apart */

#include "fuzz_sources.h"

static unsigned int n_sockets;

static void count(const struct cb_socket *socket, void *userdata)
{
	(void)userdata;
	MUST(socket->local.family != CB_ADDRESS_ANY);
	n_sockets++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cb_diag diag;
	size_t len = CB_MIN(size, sizeof(diag.buf));
	int r;

	diag.protocol = CB_PROTOCOL_TCP;
	diag.seq = 0x01010101;
	n_sockets = 0;
	memcpy(diag.buf, data, len);
	r = take_buffer(&diag, (int)len, count, NULL);
	MUST(r <= 1);
	MUST(n_sockets <= len / NLMSG_HDRLEN);
	return 0;
}

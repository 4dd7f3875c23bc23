/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cb_listener listener;
	struct cb_socket socket;
	int r;

	must_be_result(cb_sockdiag_parse(data, size, &listener));
	r = cb_socket_parse(data, size, CB_PROTOCOL_UDP, &socket);
	must_be_result(r);
	if (r == 0)
		MUST(socket.local.protocol == CB_PROTOCOL_UDP && socket.local.family != CB_ADDRESS_ANY);
	return 0;
}

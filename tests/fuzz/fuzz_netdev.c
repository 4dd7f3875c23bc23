/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cb_netdev_qstats qstats;
	struct cb_netdev_queue queue;
	struct cb_netdev_napi napi;
	struct cb_link link;
	int r;

	must_be_result(cb_netdev_napi_parse(data, size, &napi));
	must_be_result(cb_netdev_queue_parse(data, size, &queue));
	must_be_result(cb_netdev_qstats_parse(data, size, &qstats));
	r = cb_link_parse(data, size, &link);
	must_be_result(r);
	if (r == 0)
		MUST(link.ifindex > 0 && strlen(link.name) < CB_IFNAME_MAX);
	return 0;
}

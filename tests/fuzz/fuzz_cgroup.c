/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const controllers[] = { NULL, "cpuset", "name=systemd" };

	for (size_t i = 0; i < CB_ARRAY_SIZE(controllers); i++) {
		char path[32];
		int r = cb_cgroup_parse((const char *)data, size, controllers[i], path,
					sizeof(path));

		MUST(r == 0 || r == -ENOENT || r == -EBADMSG || r == -E2BIG);
		if (r == 0)
			MUST(path[0] == '/' && strlen(path) < sizeof(path) && !strchr(path, '\n'));
	}
	return 0;
}

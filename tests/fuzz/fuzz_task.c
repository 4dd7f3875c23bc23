/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

/* Four small files; each input is tried as all of them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *buf = (const char *)data;
	struct cb_task_stat stat;
	struct cb_schedstat schedstat;
	struct cb_task_status status;
	char line[64];
	int r = cb_task_stat_parse(buf, size, &stat);

	must_be_result(r);
	if (r == 0)
		MUST(stat.pid >= 0 && stat.last_cpu >= 0 && strlen(stat.comm) < sizeof(stat.comm));
	must_be_result(cb_schedstat_parse(buf, size, &schedstat));
	r = cb_task_status_parse(buf, size, &status);
	must_be_result(r);
	if (r == 0)
		MUST(status.tgid >= 0 && status.ppid >= 0);
	MUST(cb_cmdline_parse(buf, size, line, sizeof(line)) == strlen(line));
	MUST(!strpbrk(line, "\n\t\033"));
	return 0;
}

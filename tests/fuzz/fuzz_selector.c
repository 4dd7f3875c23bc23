/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is accepted can be written and read back to the same. */
#include "fuzz_sources.h"

#include "cpubalance/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cb_listen list[CB_LISTEN_MAX];
	char field[CB_SELECTOR_TEXT_MAX], text[1024];
	struct cb_selector selector = { 0 };
	uint32_t n = 0;

	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (cb_listen_parse_list(text, list, &n) == 0)
		MUST(n <= CB_LISTEN_MAX);
	for (uint32_t i = 0; i < n; i++) {
		char back[CB_LISTEN_TEXT_MAX];
		struct cb_listen again;

		cb_listen_format(&list[i], back, sizeof(back));
		MUST(cb_listen_parse(back, strlen(back), &again) == 0);
		MUST(memcmp(&again, &list[i], sizeof(again)) == 0);
		MUST(cb_listen_matches(&list[i], &again));
	}
	if (cb_selector_parse_unit(text, field) == 0 && field[0])
		MUST(cb_selector_path_in_unit(field, strlen(field), field));
	if (cb_selector_parse_cgroup(text, selector.cgroup) == 0 && selector.cgroup[0])
		MUST(cb_selector_path_below(selector.cgroup, strlen(selector.cgroup),
					    selector.cgroup));
	MUST(cb_selector_parse_process(text, selector.process) <= 0);
	(void)cb_selector_path_in_unit((const char *)data, size, "a.service");
	(void)cb_selector_path_below((const char *)data, size, "/a");
	cb_selector_format(&selector, text, size + 1);
	return 0;
}

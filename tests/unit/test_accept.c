/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which format an Accept header gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metrics/fetch.h"

#define OPEN "application/openmetrics-text"

static void test_accept(void **state)
{
	static const struct {
		const char *accept;
		enum cb_format format;
	} cases[] = {
		{ NULL, CB_FORMAT_TEXT },
		{ "", CB_FORMAT_TEXT },
		{ "*/*", CB_FORMAT_TEXT },
		{ OPEN, CB_FORMAT_OPENMETRICS },
		{ "Application/OpenMetrics-Text; version=1.0.0", CB_FORMAT_OPENMETRICS },
		{ OPEN "; version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		  CB_FORMAT_OPENMETRICS },
		{ "text/plain;q=0.75, " OPEN ";q=0.5", CB_FORMAT_TEXT },
		{ "text/plain," OPEN ";q=0", CB_FORMAT_TEXT },
		{ OPEN ";q=0.000", CB_FORMAT_TEXT },
		{ OPEN "s", CB_FORMAT_TEXT },
		{ "text/html," OPEN, CB_FORMAT_OPENMETRICS },
		{ ",,, ;;q=,q=" OPEN ",", CB_FORMAT_TEXT },
		{ OPEN ";q", CB_FORMAT_OPENMETRICS },
		{ OPEN ";q=", CB_FORMAT_OPENMETRICS },
		{ OPEN ";q=99999999999999999999", CB_FORMAT_OPENMETRICS },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (cb_accept(cases[i].accept) != cases[i].format)
			fail_msg("%s", cases[i].accept);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_accept) };

	return cmocka_run_group_tests_name("accept", tests, NULL, NULL);
}

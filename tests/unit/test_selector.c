/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listen=, Unit=, Cgroup= and Process= as text, and what they match. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cpubalance/selector.h"

static int parse(const char *text, struct cb_listen *ret)
{
	return cb_listen_parse(text, strlen(text), ret);
}

static struct cb_listen of(const char *text)
{
	struct cb_listen listen;

	assert_int_equal(parse(text, &listen), 0);
	return listen;
}

static void there_and_back(void **state)
{
	static const char *const texts[] = { "tcp:443",		  "udp:53",
					     "tcp:10.0.0.1:8080", "udp:[::]:53",
					     "tcp:0.0.0.0:1",	  "tcp:[2001:db8::1]:65535",
					     "udp:[::1]:9" };

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(texts); i++) {
		struct cb_listen listen = of(texts[i]);
		char text[CB_LISTEN_TEXT_MAX];

		assert_string_equal(cb_listen_format(&listen, text, sizeof(text)), texts[i]);
	}
}

static void refused(void **state)
{
	static const char *const texts[] = {
		"",
		"443",
		"tcp",
		"tcp:",
		"tcp:0",
		"tcp:65536",
		"tcp:http",
		"sctp:80",
		"tcp:[::1",
		"tcp:[::1]",
		"tcp:[::1]80",
		"tcp:::1:80",
		"tcp:1.2.3:80",
		"tcp:localhost:80",
		"tcp:80 ",
		"tcp:80:80",
		"TCP:80",
		"tcp:[1.2.3.4]:80",
		"tcp:1.2.3.4:",
		"tcp:-1",
		"tcp:99999999999999999999",
	};
	struct cb_listen listen = { .port = 7 };

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(texts); i++)
		assert_int_equal(parse(texts[i], &listen), -EINVAL);
	assert_int_equal(listen.port, 7);
}

static void lists(void **state)
{
	struct cb_listen listen[CB_LISTEN_MAX];
	uint32_t n = 7;

	(void)state;
	assert_int_equal(cb_listen_parse_list("  tcp:80\ttcp:443 ", listen, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(listen[1].port, 443);
	assert_int_equal(cb_listen_parse_list("tcp:1 tcp:2 tcp:3 tcp:4 tcp:5 tcp:6 tcp:7 tcp:8",
					      listen, &n),
			 0);
	assert_int_equal(n, 8);
	assert_int_equal(
		cb_listen_parse_list("tcp:1 tcp:2 tcp:3 tcp:4 tcp:5 tcp:6 tcp:7 tcp:8 tcp:9",
				     listen, &n),
		-ERANGE);
	assert_int_equal(cb_listen_parse_list("tcp:1 80", listen, &n), -EINVAL);
	assert_int_equal(n, 8);
	assert_int_equal(cb_listen_parse_list("", listen, &n), 0);
	assert_int_equal(n, 0);
}

static void matches(void **state)
{
	static const struct {
		const char *wanted, *socket;
		bool matches;
	} cases[] = {
		{ "tcp:443", "tcp:0.0.0.0:443", true },
		{ "tcp:443", "tcp:[::]:443", true },
		{ "tcp:443", "tcp:10.0.0.1:443", true },
		{ "tcp:443", "tcp:0.0.0.0:444", false },
		{ "tcp:443", "udp:0.0.0.0:443", false },
		{ "tcp:10.0.0.1:443", "tcp:0.0.0.0:443", false },
		{ "tcp:10.0.0.1:443", "tcp:10.0.0.1:443", true },
		{ "tcp:10.0.0.1:443", "tcp:[::ffff:10.0.0.1]:443", true },
		{ "tcp:[::ffff:10.0.0.1]:443", "tcp:10.0.0.1:443", true },
		{ "tcp:[::]:443", "tcp:[::]:443", true },
		{ "tcp:[::]:443", "tcp:0.0.0.0:443", false },
		{ "udp:[::1]:53", "udp:[::1]:53", true },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		struct cb_listen wanted = of(cases[i].wanted), socket = of(cases[i].socket);

		assert_int_equal(cb_listen_matches(&wanted, &socket), cases[i].matches);
	}
	/* As the kernel hands it over, not yet in its plain form. */
	struct cb_listen wanted = of("tcp:10.0.0.1:443");
	struct cb_listen mapped = { .family = CB_ADDRESS_V6,
				    .port = 443,
				    .address = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0,
						 1 } };

	assert_true(cb_listen_matches(&wanted, &mapped));
}

static void processes(void **state)
{
	char text[CB_SELECTOR_TEXT_MAX] = "kept";
	char big[CB_SELECTOR_TEXT_MAX + 1];

	(void)state;
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	assert_int_equal(cb_selector_parse_unit("nginx", text), -EINVAL);
	assert_int_equal(cb_selector_parse_unit("a/b.service", text), -EINVAL);
	assert_int_equal(cb_selector_parse_unit(".service", text), -EINVAL);
	assert_int_equal(cb_selector_parse_cgroup("system.slice", text), -EINVAL);
	assert_int_equal(cb_selector_parse_cgroup("/", text), -EINVAL);
	assert_int_equal(cb_selector_parse_process("bin/nginx", text), -EINVAL);
	assert_int_equal(cb_selector_parse_process("a\nb", text), -EINVAL);
	assert_int_equal(cb_selector_parse_process(big, text), -ERANGE);
	assert_string_equal(text, "kept");
	assert_int_equal(cb_selector_parse_unit("web@1.service", text), 0);
	assert_string_equal(text, "web@1.service");
	assert_int_equal(cb_selector_parse_cgroup("/a/b//", text), 0);
	assert_string_equal(text, "/a/b");
	assert_int_equal(cb_selector_parse_process("/usr/sbin/nginx", text), 0);
	assert_int_equal(cb_selector_parse_process("", text), 0);
	assert_string_equal(text, "");
}

static bool in_unit(const char *path, const char *unit)
{
	return cb_selector_path_in_unit(path, strlen(path), unit);
}

static bool below(const char *path, const char *cgroup)
{
	return cb_selector_path_below(path, strlen(path), cgroup);
}

static void paths(void **state)
{
	(void)state;
	assert_true(in_unit("/system.slice/nginx.service", "nginx.service"));
	assert_true(in_unit("/system.slice/nginx.service/payload", "nginx.service"));
	assert_true(in_unit("/user.slice/user-0.slice/a.scope", "user.slice"));
	assert_false(in_unit("/system.slice/xnginx.service", "nginx.service"));
	assert_false(in_unit("/system.slice/nginx.servicex", "nginx.service"));
	assert_false(in_unit("/", "nginx.service"));
	assert_true(below("/a/b", "/a"));
	assert_true(below("/a", "/a"));
	assert_false(below("/ab", "/a"));
	assert_false(below("/", "/a"));
}

static void unit_of(const char *path, const char *unit)
{
	char text[CB_SELECTOR_TEXT_MAX] = "";

	assert_int_equal(cb_selector_unit_of_path(path, text), unit ? 0 : -ENOENT);
	assert_string_equal(text, unit ? unit : "");
}

static void units_of_paths(void **state)
{
	char text[CB_SELECTOR_TEXT_MAX] = "kept", path[2 * CB_SELECTOR_TEXT_MAX + 16];

	(void)state;
	unit_of("/system.slice/nginx.service", "nginx.service");
	unit_of("/system.slice/system-web.slice/web@1.service/workers", "web@1.service");
	unit_of("/web.service", "web.service");
	unit_of("/container/payload/system.slice/web.service", "web.service");
	unit_of("/user.slice/user-0.slice/user@0.service/app.slice/x.service", "user@0.service");
	unit_of("/user.slice/user-0.slice/session-1.scope", NULL);
	unit_of("/system.slice/docker-0123.scope/a.service", NULL);
	unit_of("/system.slice", NULL);
	unit_of("/system.slice/.service", NULL);
	unit_of("/", NULL);
	unit_of("", NULL);
	unit_of("/../../a.service", NULL);
	snprintf(path, sizeof(path), "/%0*d.service", (int)CB_SELECTOR_TEXT_MAX, 0);
	assert_int_equal(cb_selector_unit_of_path(path, text), -ERANGE);
	assert_string_equal(text, "kept");
}

static void for_people(void **state)
{
	struct cb_selector selector = { .n_listen = 1,
					.unit = "nginx.service",
					.process = "nginx" };
	char text[256], small[10];

	(void)state;
	selector.listen[0] = of("tcp:443");
	assert_string_equal(cb_selector_format(&selector, text, sizeof(text)),
			    "tcp:443 Unit=nginx.service Process=nginx");
	assert_string_equal(cb_selector_format(&selector, small, sizeof(small)), "tcp:443 U");
	assert_false(cb_selector_empty(&selector));
	assert_true(cb_selector_names_processes(&selector));
	selector = (struct cb_selector){ 0 };
	assert_true(cb_selector_empty(&selector));
	assert_string_equal(cb_selector_format(&selector, text, sizeof(text)), "");
	assert_string_equal(cb_protocol_name(CB_PROTOCOL_TCP), "tcp");
	assert_string_equal(cb_protocol_name(_CB_PROTOCOL_INVALID), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back), cmocka_unit_test(refused),
		cmocka_unit_test(lists),	  cmocka_unit_test(matches),
		cmocka_unit_test(processes),	  cmocka_unit_test(paths),
		cmocka_unit_test(for_people),	  cmocka_unit_test(units_of_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tool prints: cleaned text, figures, tables that fit, and every verb's answer on 2 and on 192 CPUs. */
#include "ctl/render.h"

#include <json-c/json.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "ctl/table.h"
#include "ctl_test.h"

#define ESC "\033"

static void expect_clean(bool utf8, const char *text, const char *expected)
{
	struct cb_style style = { .utf8 = utf8 };
	char *clean = cb_text_clean(&style, text);

	assert_string_equal(clean, expected);
	free(clean);
}

static void cleaning(void **state)
{
	(void)state;
	expect_clean(true, "nginx: worker", "nginx: worker");
	expect_clean(true, "a" ESC "[31mb\tc\n\x7f", "a\\x1b[31mb\\x09c\\x0a\\x7f");
	expect_clean(true, "r\xc3\xa9seau", "r\xc3\xa9seau");
	expect_clean(false, "r\xc3\xa9seau", "r?seau");
	expect_clean(true,
		     "\xc2\x9b"
		     "31m",
		     "\\x9b31m"); /* CSI as one character */
	expect_clean(true, "a\xff\xc3", "a\\xff\\xc3");
	expect_clean(true, "\xc0\xaf", "\\xc0\\xaf");			/* overlong */
	expect_clean(true, "\xed\xa0\x80", "\\xed\\xa0\\x80");		/* surrogate */
	expect_clean(true, "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond Unicode */
	expect_clean(true,
		     "a\xe2\x80\xae"
		     "b",
		     "a\\u202eb"); /* turns the writing round */
	expect_clean(false, "a\xe2\x80\x8b", "a\\u200b");
	assert_true(cb_text_is_plain("echo 3 > /proc/irq/1/smp_affinity_list"));
	assert_false(cb_text_is_plain("echo 3\nreboot"));
	assert_false(cb_text_is_plain("\xc3\xa9"));
}

static void measuring(void **state)
{
	const char *chinese = "\xe4\xb8\xad\xe6\x96\x87"; /* two characters, two columns each */

	(void)state;
	assert_int_equal(cb_text_width("abc"), 3);
	assert_int_equal(cb_text_width(chinese), 4);
	assert_int_equal(cb_text_width("e\xcc\x81"), 1); /* an accent of its own */
	assert_int_equal(cb_text_fit(chinese, 3), 3);
	assert_int_equal(cb_text_fit("abc", 0), 0);
	assert_int_equal(cb_text_wrap("abc def", 7), 7);
	assert_int_equal(cb_text_wrap("abc def", 6), 3);
	assert_int_equal(cb_text_wrap("abc def", 3), 3);
	assert_int_equal(cb_text_wrap("abcdef", 3), 3);
	assert_int_equal(cb_text_wrap("abc def", 0), 7);
	assert_int_equal(cb_text_wrap("aaa bbb   ccc ddd", 14), 7); /* between two fields */
	assert_int_equal(cb_text_wrap("a   ccc ddd eee", 14),
			 11); /* a field alone would waste the line */
	assert_int_equal(cb_text_wrap("aaaa bb, cc dd", 11), 8);
	assert_int_equal(cb_text_wrap(chinese, 1), 3); /* never nothing */
}

static void figures(void **state)
{
	char buf[64];

	(void)state;
	assert_string_equal(cb_show_percent(0.9623, buf, sizeof(buf)), "96.2");
	assert_string_equal(cb_show_points(0.9623, buf, sizeof(buf)), "96");
	assert_string_equal(cb_show_rate(0, buf, sizeof(buf)), "0");
	assert_string_equal(cb_show_rate(0.26, buf, sizeof(buf)), "0.3");
	assert_string_equal(cb_show_rate(9.96, buf, sizeof(buf)), "10");
	assert_string_equal(cb_show_rate(99999, buf, sizeof(buf)), "99999");
	assert_string_equal(cb_show_rate(123456, buf, sizeof(buf)), "123k");
	assert_string_equal(cb_show_rate(12345678, buf, sizeof(buf)), "12.3M");
	assert_string_equal(cb_show_wait(0.212, buf, sizeof(buf)), "212");
	assert_string_equal(cb_show_wait(0.0004, buf, sizeof(buf)), "0.4");
	assert_string_equal(cb_show_wait(0, buf, sizeof(buf)), "0");
	assert_string_equal(cb_show_span(1100, buf, sizeof(buf)), "1.1 ms");
	assert_string_equal(cb_show_span(850000, buf, sizeof(buf)), "850 ms");
	assert_string_equal(cb_show_span(41999999, buf, sizeof(buf)), "41 s");
	assert_string_equal(cb_show_span(90000000, buf, sizeof(buf)), "1 min 30 s");
	assert_string_equal(cb_show_span(UINT64_C(7500000000), buf, sizeof(buf)), "2 h 5 min");
	assert_string_equal(cb_show_span(UINT64_C(172800000000), buf, sizeof(buf)), "2 d");
}

static void dates(void **state)
{
	char buf[64];

	(void)state;
	assert_string_equal(cb_show_when(&wide, UINT64_C(1700000000000000), buf, sizeof(buf)),
			    "22:13:20");
	assert_string_equal(cb_show_when(&wide, UINT64_C(1600000000000000), buf, sizeof(buf)),
			    "2020-09-13 12:26");
}

static const struct cb_column small[] = {
	{ .title = "NAME", .cell = CB_CELL_TEXT, .key = "Name", .min_cols = 5 },
	{ .title = "BUSY%", .cell = CB_CELL_PERCENT, .key = "Busy" },
	{ .title = "SPARE", .cell = CB_CELL_TEXT, .key = "Spare", .drop = 1 },
	{ .title = "RARE", .cell = CB_CELL_NUMBER, .key = "Rare", .optional = true },
	{ .title = "NOTE", .cell = CB_CELL_TEXT, .key = "Note", .min_cols = 10 },
};

static void show_small(FILE *out, const struct cb_style *style, struct json_object *rows)
{
	cb_table_print(out, style, small, CB_ARRAY_SIZE(small), rows, 0, "nothing");
}

#define SMALL_ROWS                                                                                          \
	"[{\"Name\":\"alphabetical\",\"Busy\":0.5,\"Spare\":\"spared\",\"Note\":\"a note of some words\"}," \
	"{\"Name\":\"b\",\"Busy\":1,\"Rare\":0}]"

static void tables(void **state)
{
	(void)state;
	expect(show_small, SMALL_ROWS, 0,
	       "NAME          BUSY%  SPARE   NOTE\n"
	       "alphabetical   50.0  spared  a note of some words\n"
	       "b             100.0  -       -\n");
	/* what is longest is shortened first, down to its minimum */
	expect(show_small, SMALL_ROWS, 44,
	       "NAME          BUSY%  SPARE   NOTE\n"
	       "alphabetical   50.0  spared  a note of some\n"
	       "                             words\n"
	       "b             100.0  -       -\n");
	/* then what can be spared goes, and the table says so */
	expect(show_small, SMALL_ROWS, 26,
	       "NAME     BUSY%  NOTE\n"
	       "alphab\xe2\x80\xa6   50.0  a note of\n"
	       "                some words\n"
	       "b        100.0  -\n"
	       "(no room for SPARE;\n"
	       "--json has all)\n");
	expect(show_small, "[]", 80, "nothing\n");
	expect(show_small, "[{}]", 80, "NAME  BUSY%  SPARE  NOTE\n-         -  -      -\n");
	expect(show_small, "[{\"Name\":null,\"Busy\":\"x\",\"Rare\":3}]", 80,
	       "NAME  BUSY%  SPARE  RARE  NOTE\n-         -  -         3  -\n");
}

#define MANAGER                                                                                                   \
	"{\"Version\":\"0.1.0\",\"Mode\":\"auto\",\"State\":\"attention\",\"Headline\":\"1 hot core; plan #12 "   \
	"verifying, 14 s left\",\"CPUs\":192,\"CPUsHot\":1,\"CPUsWarm\":9,\"CPUsCool\":182,\"Groups\":2,"         \
	"\"Workers\":96,\"ChangedWorkers\":3,\"ChangedInterrupts\":1,\"LastPlanId\":11,\"LastVerdict\":\"kept\"," \
	"\"LastSentence\":\"#11 nginx/9 40 -> 44-47: kept\",\"LastUSec\":1700000000000000,\"MovesThisHour\":2,"   \
	"\"MovesPerHour\":6,\"RollbacksThisHour\":0,\"RollbacksPerHour\":3,\"Canary\":false,\"Paused\":false,"    \
	"\"RunQueueWait\":0.212,\"Backlog\":3,\"BacklogMax\":511,\"DropsPerSec\":0,\"TickUSec\":1100,"            \
	"\"DataAgeUSec\":1000000,\"Overruns\":0,\"Journal\":\"ok\",\"Missing\":\"queue packets\","                \
	"\"InterruptsOwner\":\"cpubalanced\",\"ConfigError\":\"\"}"

#define STEPS \
	"[{\"Name\":\"nginx/9\",\"Kind\":\"worker\",\"From\":\"40\",\"To\":\"44-47\",\"Load\":0.3,\"Shell\":\"taskset 1\"}]"
#define REFUSALS                                                                                              \
	"[{\"Name\":\"small\",\"Load\":0.01,\"Reason\":\"TOO_SMALL\"},{\"Name\":\"eth0-rx-3\",\"Load\":0.13," \
	"\"Reason\":\"IRQBALANCE\",\"ReasonText\":\"irqbalance owns the interrupts\"}]"
#define PLAN                                                                                                      \
	"{\"Id\":12,\"State\":\"proposed\",\"Group\":\"nginx\",\"Origin\":\"auto\",\"Finding\":\"CPU 3 is hot\"," \
	"\"HottestBefore\":0.96,\"HottestAfter\":0.6,\"HotCPU\":3,\"LeftUSec\":14000000,\"Steps\":" STEPS         \
	",\"Refusals\":" REFUSALS "}"

static struct json_object *status_of(unsigned int n, unsigned int n_hot)
{
	struct json_object *status = json_object_new_object();

	json_object_object_add(status, "Manager", parse(MANAGER));
	json_object_object_add(status, "CPUs", machine(n, n_hot));
	json_object_object_add(
		status, "Workers",
		parse("[{\"Name\":\"nginx/7\",\"CPU\":3,\"CPUTime\":0.22},{\"Name\":\"nginx/3\",\"CPU\":3,"
		      "\"CPUTime\":0.51},{\"Name\":\"away\",\"CPU\":4,\"CPUTime\":0.9},{\"Name\":\"new\"}]"));
	json_object_object_add(status, "Interrupts",
			       parse("[{\"Name\":\"eth0-rx-3\",\"CPU\":3,\"Load\":0.13}]"));
	json_object_object_add(
		status, "Findings",
		parse("[{\"Kind\":\"HOT_CPU\",\"Confirmed\":true,\"Sentence\":\"not shown\"},{\"Kind\":"
		      "\"SATURATED\",\"Confirmed\":true,\"Sentence\":\"all are busy\"}]"));
	json_object_object_add(status, "Plan", parse(PLAN));
	json_object_object_add(status, "LastPlan",
			       parse("{\"Steps\":" STEPS
				     ",\"Sentence\":\"served work +6 % (p 0.003)\"}"));
	return status;
}

static void status_of_192(void **state)
{
	struct json_object *status = status_of(192, 1);
	char *text = shown(cb_render_status, status, 100);

	(void)state;
	assert_string_equal(
		text,
		"ATTENTION  1 hot core; plan #12 verifying, 14 s left                         cpubalanced 0.1.0  auto\n"
		"MACHINE    192 CPUs: 1 hot, 9 warm, 182 cool   groups 2   workers 96\n"
		"CHANGED    3 workers, 1 interrupt   undo: cpubalctl release --all --pause\n"
		"HOT        CPU 3  96% for 41 s   nginx/3 51, nginx/7 22, eth0-rx-3 13, other 10\n"
		"FINDING    SATURATED: all are busy\n"
		"HARM       run-queue wait 212 ms/s   backlog 3/511   drops 0/s\n"
		"PLAN       #12 proposed, 14 s left   nginx/9 40 -> 44-47   hottest 96% -> 60%\n"
		"           do it: cpubalctl apply 12\n"
		"REFUSED    eth0-rx-3: irqbalance owns the interrupts\n"
		"           small: TOO_SMALL\n"
		"LAST       #11 22:13:20   nginx/9 40 -> 44-47   kept   served work +6 % (p 0.003)\n"
		"BUDGET     moves 2/6 this hour   rollbacks 0/3\n"
		"SELF       tick 1.1 ms   data 1 s old   journal ok   missing: queue packets\n");
	free(text);
	json_object_put(status);
}

static void status_fits(void **state)
{
	static const unsigned int widths[] = { 80, 120, 200 };

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(widths); i++) {
		struct json_object *small_one = status_of(2, 1), *large = status_of(192, 40);
		char *text = shown(cb_render_status, small_one, widths[i]);

		assert_in_range(widest_line(text), 60, widths[i]);
		assert_in_range(count_lines(text), 10, 18);
		assert_non_null(strstr(text, "HOT        CPU 1  96%"));
		free(text);
		text = shown(cb_render_status, large, widths[i]);
		assert_in_range(widest_line(text), 60, widths[i]);
		assert_in_range(count_lines(text), 15, 22);
		assert_non_null(strstr(text, "35 more hot CPUs: cpubalctl cpus"));
		free(text);
		json_object_put(small_one);
		json_object_put(large);
	}
}

/* Nothing known: every figure is "-", and no 0 stands for it. */
static void status_of_nothing(void **state)
{
	(void)state;
	expect(cb_render_status, "{}", 80,
	       "-          -                                                    cpubalanced -  -\n"
	       "MACHINE    - CPUs: - hot, - warm, - cool   groups -   workers -\n"
	       "CHANGED    - workers, - interrupts   undo: cpubalctl release --all --pause\n"
	       "HOT        -\n"
	       "HARM       run-queue wait - ms/s   backlog -   drops -\n"
	       "LAST       no plan yet\n"
	       "BUDGET     moves -/- this hour   rollbacks -/-\n"
	       "SELF       tick -   data - old   journal -   missing: nothing\n");
}

static void status_of_a_pause(void **state)
{
	struct json_object *status = status_of(2, 0), *manager = cb_json_get(status, "Manager");
	char *text;

	(void)state;
	json_object_object_add(manager, "Paused", json_object_new_boolean(1));
	json_object_object_add(manager, "Canary", json_object_new_boolean(1));
	json_object_object_add(manager, "Workers", json_object_new_int(0));
	json_object_object_add(manager, "ChangedWorkers", json_object_new_int(0));
	json_object_object_add(manager, "ChangedInterrupts", json_object_new_int(0));
	json_object_object_add(manager, "ConfigError",
			       json_object_new_string("x.conf:3: HotOn=: 10% to 100%"));
	text = shown(cb_render_status, status, 120);
	assert_non_null(strstr(text, "paused until cpubalctl resume"));
	assert_non_null(strstr(text, "only advising"));
	assert_non_null(strstr(text, "CHANGED    nothing\n"));
	assert_non_null(strstr(text, "HOT        none; the busiest is CPU"));
	assert_non_null(strstr(text, "HARM       no worker is registered"));
	assert_non_null(strstr(text, "CONFIG     the last reload was refused: x.conf:3"));
	free(text);
	json_object_put(status);
}

static void interrupts(void **state)
{
	static const char irqs[] =
		"[{\"IRQ\":41,\"Name\":\"eth0-rx-1 (irq 41)\",\"PerSec\":99.5,\"CPU\":1,\"Load\":0.1,\"Affinity\":\"1\","
		"\"Movable\":false,\"Reason\":\"MANAGED_IRQ\",\"Changed\":false},"
		"{\"IRQ\":42,\"Name\":\"idle\",\"PerSec\":0,\"Movable\":true,\"Changed\":false},"
		"{\"IRQ\":43,\"Name\":\"unknown\",\"CPU\":-1}]";

	(void)state;
	expect(cb_render_irqs, irqs, 80,
	       "IRQ  NAME       RATE/s  CPU  LOAD%  AFFINITY  MOVABLE\n"
	       " 41  eth0-rx-1     100    1   10.0  1         no: MANAGED_IRQ\n"
	       " 43  unknown         -    -      -  -         -\n"
	       "1 idle interrupt: cpubalctl irqs --all\n");
	expect(cb_render_all_irqs, irqs, 80,
	       "IRQ  NAME       RATE/s  CPU  LOAD%  AFFINITY  MOVABLE\n"
	       " 41  eth0-rx-1     100    1   10.0  1         no: MANAGED_IRQ\n"
	       " 42  idle            0    -      -  -         yes\n"
	       " 43  unknown         -    -      -  -         -\n");
	expect(cb_render_irqs, "[]", 80, "no interrupt has been found\n");
	expect(cb_render_irq_counts,
	       "[{\"IRQ\":41,\"Name\":\"eth0-rx-1\",\"Total\":12,\"CPUs\":[{\"CPU\":0,\"Count\":2},"
	       "{\"CPU\":3,\"Count\":10}]},{\"Name\":\"ERR\",\"Total\":0,\"CPUs\":[]},"
	       "{\"Name\":\"LOC\",\"Total\":45,\"CPUs\":[{\"CPU\":0,\"Count\":1},{\"CPU\":1,\"Count\":2},"
	       "{\"CPU\":2,\"Count\":3},{\"CPU\":3,\"Count\":4},{\"CPU\":4,\"Count\":5},{\"CPU\":5,\"Count\":6},"
	       "{\"CPU\":6,\"Count\":7},{\"CPU\":7,\"Count\":8},{\"CPU\":8,\"Count\":9}]}]",
	       120,
	       "IRQ  NAME       TOTAL  WHERE\n"
	       " 41  eth0-rx-1     12  CPU 3: 10, CPU 0: 2\n"
	       "  -  ERR            0  -\n"
	       "  -  LOC           45  CPU 8: 9, CPU 7: 8, CPU 6: 7, CPU 5: 6, CPU 4: 5, CPU 3: 4, "
	       "CPU 2: 3, CPU 1: 2, 1 more\n");
	expect(cb_render_irqs, "[{\"IRQ\":1,\"PerSec\":0}]", 80,
	       "1 idle interrupt: cpubalctl irqs --all\n");
}

static void workers(void **state)
{
	(void)state;
	expect(cb_render_workers,
	       "[{\"Name\":\"a/0\",\"PID\":10,\"Comm\":\"x"
	       "\\u001b"
	       "[2J\",\"CPU\":0,\"CPUTime\":0.5,\"WaitPerSec\":0.1,"
	       "\"Affinity\":\"0\",\"Original\":\"0-1\",\"Allowed\":\"0-1\",\"Changed\":true,\"Foreign\":true,"
	       "\"QuarantineLeftUSec\":60000000},{\"Name\":\"a/1\",\"PID\":11}]",
	       0,
	       "WORKER  PID  COMMAND   CPU  CPU%  WAIT ms/s  VOL/s  INVOL/s  THREADS  FDS  AFFINITY  ORIGINAL  ALLOWED  STATE\n"
	       "a/0      10  x\\x1b[2J    0  50.0        100      -        -        -    -  0         0-1       0-1      foreign, left alone for 1 min\n"
	       "a/1      11  -           -     -          -      -        -        -    -  -         -         -        -\n");
	expect(cb_render_workers, "[]", 80, "no worker is registered: cpubalctl register --help\n");
}

static void plans(void **state)
{
	(void)state;
	expect(cb_render_plan, PLAN, 80,
	       "Plan #12: proposed, 14 s left, group nginx, by the daemon itself\n"
	       "Because: CPU 3 is hot\n"
	       "Expected load of the hottest CPU: 96% (CPU 3) -> 60%\n\n"
	       "  STEP     KIND    FROM  TO     LOAD%  STATE\n"
	       "  nginx/9  worker  40    44-47   30.0  -\n\n"
	       "  NOT MOVED  CPU  LOAD%  BEST CPU  GAIN%  REASON\n"
	       "  small        -    1.0         -      -  TOO_SMALL\n"
	       "  eth0-rx-3    -   13.0         -      -  IRQBALANCE: irqbalance owns the\n"
	       "                                          interrupts\n\n"
	       "To do it: cpubalctl apply 12\n");
	expect(cb_render_plan, "{\"Id\":0,\"Preview\":true,\"Steps\":[]}", 80,
	       "No plan is made, and none would be made now.\n");
	expect(cb_render_plan_shell, PLAN, 80, "taskset 1\n");
}

/* Many refused for one reason: a terminal shows a few and says how many more; a file gets all. */
static void plan_of_many_refusals(void **state)
{
	struct json_object *plan = json_object_new_object(), *refusals = json_object_new_array();
	char *text;

	(void)state;
	for (int i = 0; i < 30; i++) {
		struct json_object *row = json_object_new_object();

		json_object_object_add(row, "Name", json_object_new_string("eth0"));
		json_object_object_add(row, "Reason",
				       json_object_new_string(i == 3 ? "TOO_SMALL" :
								       "NOT_FEEDING"));
		json_object_array_add(refusals, row);
	}
	json_object_object_add(plan, "Id", json_object_new_int(7));
	json_object_object_add(plan, "Refusals", refusals);
	text = shown(cb_render_plan, plan, 80);
	assert_non_null(strstr(text, "  25 more with NOT_FEEDING; --json has all\n"));
	assert_null(strstr(text, "more with TOO_SMALL"));
	free(text);
	text = shown(cb_render_plan, plan, 0);
	assert_null(strstr(text, "more with"));
	assert_true(count_lines(text) > 30);
	free(text);
	json_object_put(plan);
}

static void changes(void **state)
{
	static const char rows[] =
		"[{\"Kind\":\"worker\",\"Name\":\"nginx/9\",\"TID\":1009,\"Was\":\"0-191\",\"Is\":\"44-47\",\"Set\":\"44-47\","
		"\"Plan\":11,\"Group\":\"nginx\",\"State\":\"changed\",\"Shell\":\"taskset -pc 0-191 1009\"},"
		"{\"Kind\":\"irq\",\"Name\":\"eth0\",\"IRQ\":43,\"Was\":\"3\",\"Is\":\"5\",\"Set\":\"7\",\"State\":\"foreign\","
		"\"Shell\":\"echo 3\\nreboot\"}]";

	(void)state;
	expect(cb_render_changes, rows, 80,
	       "WHAT                GROUP  WAS    IS     WE SET  PLAN  STATE\n"
	       "nginx/9 (tid 1009)  nginx  0-191  44-47  -         11  changed\n"
	       "eth0 (irq 43)       -      3      5      7          -  foreign\n"
	       "Undo all: cpubalctl release --all --pause\n");
	/* what is not plainly one command never reaches a shell */
	expect(cb_render_changes_shell, rows, 20,
	       "taskset -pc 0-191 1009\n# eth0: there is no command for this\n");
	expect(cb_render_changes, "[]", 80, "nothing is changed: every mask is the original\n");
	expect(cb_render_changes_shell, "[]", 80, "");
}

static void explained(void **state)
{
	(void)state;
	expect(cb_render_explain,
	       "{\"CPU\":3,\"Sentence\":\"CPU 3 is 96 % busy\",\"Heat\":\"hot\",\"Busy\":0.96,\"User\":0.5,\"Rows\":["
	       "{\"Kind\":\"worker\",\"Name\":\"nginx/3\",\"Load\":0.51,\"WaitPerSec\":0.2,\"Best\":\"4-7\",\"Gain\":0.3,"
	       "\"Decision\":\"NO\",\"Reason\":\"COOLDOWN\",\"ReasonText\":\"a plan of its group has just ended\"}],"
	       "\"Next\":\"a plan in 14 s\"}",
	       80,
	       "CPU 3      CPU 3 is 96 % busy\n"
	       "TIME %     busy 96.0   user 50.0   system -   irq -   softirq -   steal -\n"
	       "FOR %      workers -   interrupts -   other -\n\n"
	       "  WHO      KIND    LOAD%  WAIT ms/s  BEST  GAIN%  MOVED?\n"
	       "  nginx/3  worker   51.0        200  4-7    30.0  NO: a plan of its group has\n"
	       "                                                  just ended\n\n"
	       "SURE       -\n"
	       "NEXT       a plan in 14 s\n");
	/* what waits at their sockets, where there is anybody who waits at any */
	expect(cb_render_explain,
	       "{\"CPU\":0,\"Sentence\":\"s\",\"Rows\":["
	       "{\"Kind\":\"worker\",\"Name\":\"dns/0\",\"QueuedBytes\":12288,\"QueuedMaxBytes\":212992,\"Decision\":\"-\"},"
	       "{\"Kind\":\"worker\",\"Name\":\"web/0\",\"Backlog\":3,\"BacklogMax\":511,\"Decision\":\"-\"},"
	       "{\"Kind\":\"task\",\"Name\":\"make\",\"Decision\":\"NO\"}]}",
	       0,
	       "CPU 0      s\n"
	       "TIME %     busy -   user -   system -   irq -   softirq -   steal -\n"
	       "FOR %      workers -   interrupts -   other -\n\n"
	       "  WHO    KIND    LOAD%  WAIT ms/s     BACKLOG  BEST  GAIN%  MOVED?\n"
	       "  dns/0  worker      -          -  12/208 KiB  -         -  -\n"
	       "  web/0  worker      -          -       3/511  -         -  -\n"
	       "  make   task        -          -           -  -         -  NO\n\n"
	       "SURE       -\n"
	       "NEXT       -\n");
}

static void history(void **state)
{
	(void)state;
	expect(cb_render_history,
	       "[{\"Plan\":7,\"At\":1700000000000000,\"Origin\":\"auto\",\"Group\":\"nginx\",\"Steps\":" STEPS
	       ",\"Verdict\":\"kept\",\"Sentence\":\"served work +6 %\",\"WaitBefore\":0.5,\"WaitAfter\":0.01}]",
	       0,
	       "PLAN  WHEN      BY    GROUP  MOVED                VERDICT  WAIT/CPU s    WHY\n"
	       "  #7  22:13:20  auto  nginx  nginx/9 40 -> 44-47  kept     0.50 -> 0.01  served work +6 %\n");
	expect(cb_render_history, "[]", 80, "no plan in this time\n");
}

static void foreign(void **state)
{
	(void)state;
	expect(cb_render_foreign,
	       "[{\"At\":1700000000000000,\"Sentence\":\"web/0 was set to CPU 3 by somebody else: left alone\"}]",
	       0,
	       "WHEN      WHAT\n22:13:20  web/0 was set to CPU 3 by somebody else: left alone\n");
	expect(cb_render_foreign, "[]", 80,
	       "nobody else has changed what cpubalanced had set in this time\n");
}

#define WORKER(name, pid, comm, unit, affinity, changed)                                      \
	"{\"Name\":\"" name "\",\"Group\":\"web\",\"PID\":" pid ",\"Comm\":\"" comm "\"" unit \
	",\"Affinity\":\"" affinity "\",\"Changed\":" changed "}"
#define NGINX_UNIT ",\"Unit\":\"nginx.service\""

static void permanent(void **state)
{
	(void)state;
	/* by pid, not by name; a worker that was not moved is told as it is */
	expect(cb_render_permanent,
	       "{\"Workers\":[" WORKER("web/0", "12", "nginx", NGINX_UNIT, "2-3", "true") "," WORKER(
		       "web/1", "11", "nginx", NGINX_UNIT, "0",
		       "false") "],\"Changes\":[{\"Kind\":\"worker\"},"
				"{\"Kind\":\"irq\",\"IRQ\":45,\"Set\":\"1\",\"Is\":\"0-3\"}]}",
	       40,
	       "# --- group web ---\n"
	       "# nginx.conf, when these are all of its workers; the masks are in the order in which it starts them.\n"
	       "worker_processes 2;\nworker_cpu_affinity 0001 1100;\n\n"
	       "# /etc/systemd/system/nginx.service.d/50-cpus.conf, for all of its processes alike: what one worker may "
	       "use, every one may.\n"
	       "[Service]\nCPUAffinity=\nCPUAffinity=0,2-3\n\n"
	       "# /etc/tmpfiles.d/cpus.conf; the number of an interrupt may be another after the next boot, and "
	       "irqbalance overrides this.\n"
	       "w /proc/irq/45/smp_affinity_list - - - - 1\n");
	/* what a plan would do; a worker of no service */
	expect(cb_render_permanent,
	       "{\"Workers\":[" WORKER("web/0", "12", "java", "", "0", "false") "," WORKER(
		       "web/1", "13", "java", NGINX_UNIT, "1",
		       "false") "],\"Steps\":[{\"Kind\":\"worker\","
				"\"Name\":\"web/1\",\"To\":\"4-5\"}]}",
	       0,
	       "# --- group web ---\n"
	       "# /etc/systemd/system/nginx.service.d/50-cpus.conf, for all of its processes alike: what one worker may "
	       "use, every one may.\n"
	       "[Service]\nCPUAffinity=\nCPUAffinity=4-5\n\n"
	       "# 1 of 2 workers belong to no service of systemd: their CPUs are to be set where they are started.\n\n");
	/* nothing that is not a word gets into anybody's configuration */
	expect(cb_render_permanent,
	       "{\"Workers\":[" WORKER("web/0", "12", "x", ",\"Unit\":\"a b;\\nUser=root.service\"",
				       "0", "true") "],\"Changes\":[]}",
	       0,
	       "# --- group web ---\n"
	       "# 1 of 1 workers belong to no service of systemd: their CPUs are to be set where they are started.\n\n");
	expect(cb_render_permanent, "{\"Workers\":[],\"Changes\":[]}", 0,
	       "# nothing is changed: every mask is the original\n");
	expect(cb_render_permanent, "{\"Workers\":[],\"Steps\":[]}", 0,
	       "# nothing would be moved\n");
}

static void groups(void **state)
{
	(void)state;
	expect(cb_render_groups,
	       "[{\"Name\":\"nginx\",\"Mode\":\"auto\",\"Workers\":2,\"Changed\":1,\"CPUTime\":1.5,\"WaitPerSec\":0.2,"
	       "\"Backlog\":3,\"BacklogMax\":511,\"CooldownLeftUSec\":30000000,\"Source\":\"bus\",\"Note\":\"n\"}]",
	       0,
	       "GROUP  MODE  WORKERS  CHANGED   CPU%  WAIT ms/s  PKTS/s  BACKLOG  DROPS/s  MOVES/h  FROM  NOTE\n"
	       "nginx  auto        2        1  150.0        200       -    3/511        -        -  bus   no plan for 30 s; n\n");
	expect(cb_render_workers,
	       "[{\"Name\":\"dns/0\",\"PID\":7,\"QueuedBytes\":12288,\"QueuedMaxBytes\":212992,\"Backlog\":1,\"BacklogMax\":9}]",
	       0,
	       "WORKER  PID  COMMAND  CPU  CPU%  WAIT ms/s  VOL/s  INVOL/s  THREADS  FDS          BACKLOG  AFFINITY  ORIGINAL  ALLOWED\n"
	       "dns/0     7  -          -     -          -      -        -        -    -  1/9, 12/208 KiB  -         -         -\n");
	expect(cb_render_groups, "[]", 80, "no group is registered: cpubalctl register --help\n");
	expect(cb_render_sources,
	       "[{\"Name\":\"stat\",\"Available\":true,\"InLastTick\":false},{\"Name\":\"perf\",\"Available\":false}]",
	       80,
	       "SIGNAL  THERE    AGE  WHERE  GIVES\nstat    not now    -  -      -\nperf    missing    -  -      -\n");
}

static void colors(void **state)
{
	struct cb_style style = wide;
	struct json_object *cpus = parse("[{\"CPU\":0,\"Heat\":\"hot\",\"Busy\":1}]");
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	style.color = true;
	cb_render_cpus(out, &style, cpus);
	fclose(out);
	assert_non_null(strstr(text, ESC "[1;31mhot" ESC "[0m"));
	assert_non_null(strstr(text, ESC "[1mCPU"));
	free(text);
	json_object_put(cpus);
}

/* Of one kind: a line each, and what it means and what to do once. */
static void findings_of_one_kind(void **state)
{
	(void)state;
	expect(cb_render_findings,
	       "[{\"Kind\":\"HOT_CPU\",\"Role\":\"plans\",\"Sentence\":\"CPU 0 is hot\",\"Meaning\":\"m\","
	       "\"Remedy\":\"r\",\"Confirmed\":true,\"Harm\":true,\"SinceUSec\":12000000},"
	       "{\"Kind\":\"STOLEN\",\"Role\":\"informs\",\"Sentence\":\"CPU 7 is stolen\",\"Meaning\":\"s\","
	       "\"Remedy\":\"t\",\"Confirmed\":true,\"SinceUSec\":5000000},"
	       "{\"Kind\":\"HOT_CPU\",\"Role\":\"plans\",\"Sentence\":\"CPU 1 is hot\",\"Meaning\":\"m\","
	       "\"Remedy\":\"r\",\"ConfirmedInUSec\":3000000}]",
	       80,
	       "HOT_CPU, 2 of them\n"
	       "  WHAT     CPU 0 is hot   (for 12 s, somebody suffers)\n"
	       "  WHAT     CPU 1 is hot   (counts in 3 s, if it lasts)\n"
	       "  MEANS    m\n"
	       "  PLANS    r\n"
	       "\n"
	       "STOLEN for 5 s\n"
	       "  WHAT     CPU 7 is stolen\n"
	       "  MEANS    s\n"
	       "  DO       t\n");
	expect(cb_render_findings, "[]", 80, "Nothing is wrong that is known of.\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(cleaning),
		cmocka_unit_test(measuring),
		cmocka_unit_test(figures),
		cmocka_unit_test(dates),
		cmocka_unit_test(tables),
		cmocka_unit_test(status_of_192),
		cmocka_unit_test(status_fits),
		cmocka_unit_test(status_of_nothing),
		cmocka_unit_test(status_of_a_pause),
		cmocka_unit_test(interrupts),
		cmocka_unit_test(workers),
		cmocka_unit_test(plans),
		cmocka_unit_test(changes),
		cmocka_unit_test(explained),
		cmocka_unit_test(history),
		cmocka_unit_test(foreign),
		cmocka_unit_test(permanent),
		cmocka_unit_test(groups),
		cmocka_unit_test(findings_of_one_kind),
		cmocka_unit_test(plan_of_many_refusals),
		cmocka_unit_test(colors),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

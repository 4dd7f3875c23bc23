/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A trace from somewhere: the input is a whole file, replayed with an engine of its own. Besides, each of its lines is
 * read alone; an input that is accepted has to be written as a line that reads back to that same line.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpubalance/scan.h"
#include "lib/host/trace_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(const char *line, size_t len)
{
	struct cb_trace_record record = { 0 }, again = { 0 };
	struct cb_err err = { "" };
	char *first, *second;

	if (cb_trace_line_parse(line, len, &record, &err) < 0) {
		if (!err.msg[0])
			abort();
		return;
	}
	if (record.line == CB_TRACE_LINE_INPUT) {
		first = cb_trace_input_line(&record.input);
		if (!first || cb_trace_line_parse(first, strlen(first), &again, &err) < 0)
			abort();
		second = cb_trace_input_line(&again.input);
		if (!second || strcmp(first, second) != 0)
			abort();
		free(first);
		free(second);
		cb_trace_record_done(&again);
	}
	cb_trace_record_done(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cb_scan s = CB_SCAN((const char *)data, size), line;
	struct cb_replay_result result = { 0 };
	struct cb_err err = { "" };
	FILE *in;

	while (cb_scan_line(&s, &line))
		check_line(line.p, (size_t)(line.end - line.p));
	if (size == 0)
		return 0;
	in = fmemopen((void *)(uintptr_t)data, size, "r");
	if (!in)
		abort();
	if (cb_trace_replay_stream(in, "FILE", NULL, &result, &err) < 0 && !err.msg[0])
		abort();
	fclose(in);
	return 0;
}

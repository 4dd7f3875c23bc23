/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int connect_bus(struct cb_fetcher *fetcher)
{
	sd_bus *bus = NULL;
	int r;

	if (fetcher->bus && sd_bus_is_open(fetcher->bus) > 0)
		return 0;
	fetcher->bus = sd_bus_close_unref(fetcher->bus);
	if (strcmp(fetcher->address, "system") == 0)
		return sd_bus_open_system(&fetcher->bus);
	r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_address(bus, fetcher->address);
	if (r >= 0)
		r = sd_bus_set_bus_client(bus, 1);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r < 0)
		bus = sd_bus_unref(bus);
	fetcher->bus = bus;
	return r;
}

static int read_file(int fd, struct cb_text *text)
{
	struct stat st;
	size_t size, len = 0;
	char *data;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < 0 || st.st_size > (off_t)CB_FETCH_SIZE_MAX)
		return -EFBIG;
	size = (size_t)st.st_size;
	data = realloc(text->data, size + 1);
	if (!data)
		return -ENOMEM;
	text->data = data;
	while (len < size) {
		ssize_t n = pread(fd, data + len, size - len, (off_t)len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	text->len = len;
	return 0;
}

static int fetch(struct cb_fetcher *fetcher, enum cb_format format)
{
	static const char *const names[] = {
		[CB_FORMAT_TEXT] = "text", [CB_FORMAT_OPENMETRICS] = "openmetrics"
	};
	sd_bus_message *call = NULL, *reply = NULL;
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int fd, r = connect_bus(fetcher);

	if (r >= 0)
		r = sd_bus_message_new_method_call(fetcher->bus, &call, "org.cpubalance1",
						   "/org/cpubalance1", "org.cpubalance1.Manager",
						   "GetMetricsFile");
	if (r >= 0)
		r = sd_bus_message_set_auto_start(call, 0);
	if (r >= 0)
		r = sd_bus_message_append(call, "s", names[format]);
	if (r >= 0)
		r = sd_bus_call(fetcher->bus, call, CB_FETCH_WAIT_USEC, &error, &reply);
	if (r >= 0)
		r = sd_bus_message_read(reply, "h", &fd);
	if (r >= 0)
		r = read_file(fd, &fetcher->text[format]);
	sd_bus_error_free(&error);
	sd_bus_message_unref(call);
	sd_bus_message_unref(reply);
	/* Signals that nobody asked for do not pile up. */
	while (fetcher->bus && sd_bus_process(fetcher->bus, NULL) > 0)
		;
	return r < 0 ? r : 0;
}

int cb_fetch(struct cb_fetcher *fetcher, enum cb_format format, const char **ret, size_t *ret_len)
{
	struct cb_text *text = &fetcher->text[format];

	if (text->fetched_usec == 0 || now_usec() - text->fetched_usec >= CB_FETCH_USEC) {
		text->r = fetch(fetcher, format);
		text->fetched_usec = now_usec();
	}
	if (text->r < 0)
		return text->r;
	*ret = text->data;
	*ret_len = text->len;
	return 0;
}

void cb_fetcher_done(struct cb_fetcher *fetcher)
{
	for (int i = 0; i < _CB_FORMAT_MAX; i++)
		free(fetcher->text[i].data);
	sd_bus_flush_close_unref(fetcher->bus);
}

/* --- Accept --- */

/* The weight of one media range in thousandths; RFC 9110, 12.4.2: q=0.xxx or 1. */
static int weight(const char *range, size_t len)
{
	for (size_t i = 0; i + 3 < len; i++) {
		int value = 0, scale = 1000;

		if (range[i] != ';')
			continue;
		while (i + 3 < len && (range[i] == ';' || range[i] == ' ' || range[i] == '\t'))
			i++;
		if ((range[i] != 'q' && range[i] != 'Q') || range[i + 1] != '=')
			continue;
		for (i += 2; i < len && scale > 0; i++) {
			if (range[i] == '.')
				continue;
			if (range[i] < '0' || range[i] > '9')
				break;
			value += (range[i] - '0') * scale;
			scale /= 10;
		}
		return value > 1000 ? 1000 : value;
	}
	return 1000;
}

static bool is_type(const char *range, size_t len, const char *type)
{
	size_t n = strlen(type);

	return len >= n && strncasecmp(range, type, n) == 0 &&
	       (len == n || strchr("; \t", range[n]) != NULL);
}

enum cb_format cb_accept(const char *accept)
{
	int openmetrics = 0, text = 0;

	while (accept && *accept) {
		size_t len;

		accept += strspn(accept, " \t,");
		len = strcspn(accept, ",");
		if (is_type(accept, len, "application/openmetrics-text"))
			openmetrics = weight(accept, len);
		else if (is_type(accept, len, "text/plain"))
			text = weight(accept, len);
		accept += len;
	}
	return openmetrics > 0 && openmetrics >= text ? CB_FORMAT_OPENMETRICS : CB_FORMAT_TEXT;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One record of the journal as a line of text, the pure half of journal.c:
 *
 *     1f0c9a3e set knob=task_affinity tid=812 tgid=812 start=99123 tgstart=99123 ... original=0-3 set=1
 *     77aa0b12 drop knob=irq_affinity irq=38 hwirq=1 actions=virtio2-input.0
 *
 * First the CRC-32 of everything behind it, then what to do, then fields in any order, each at most once, none unknown. What
 * may hold blanks is written with %XX. A line is accepted whole or not at all. What is formatted can be parsed, and the
 * other way round gives the same entry.
 */
#include "cpubalance/journal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cpubalance/scan.h"
#include "journal_internal.h"

#define NO_CPU "none"

enum field {
	FIELD_KNOB,
	FIELD_TID,
	FIELD_TGID,
	FIELD_START,
	FIELD_TGSTART,
	FIELD_ALONE,
	FIELD_ROOT,
	FIELD_ROOTSTART,
	FIELD_PLACED,
	FIELD_CGROUP,
	FIELD_IRQ,
	FIELD_HWIRQ,
	FIELD_ACTIONS,
	FIELD_EFFECTIVE,
	FIELD_PENDING,
	FIELD_COOKIE,
	FIELD_INODE,
	FIELD_NETNS,
	FIELD_LISTEN,
	FIELD_INTERFACE,
	FIELD_QUEUE,
	FIELD_IFNAME,
	FIELD_FLOWS,
	FIELD_GROUP,
	FIELD_PLAN,
	FIELD_ORIGINAL,
	FIELD_SET,
	FIELD_WAS,
	_FIELD_MAX,
};

static const char *const field_names[_FIELD_MAX] = {
	[FIELD_KNOB] = "knob",
	[FIELD_TID] = "tid",
	[FIELD_TGID] = "tgid",
	[FIELD_START] = "start",
	[FIELD_TGSTART] = "tgstart",
	[FIELD_ALONE] = "alone",
	[FIELD_ROOT] = "root",
	[FIELD_ROOTSTART] = "rootstart",
	[FIELD_PLACED] = "placed",
	[FIELD_CGROUP] = "cgroup",
	[FIELD_IRQ] = "irq",
	[FIELD_HWIRQ] = "hwirq",
	[FIELD_ACTIONS] = "actions",
	[FIELD_EFFECTIVE] = "effective",
	[FIELD_PENDING] = "pending",
	[FIELD_GROUP] = "group",
	[FIELD_PLAN] = "plan",
	[FIELD_ORIGINAL] = "original",
	[FIELD_SET] = "set",
	[FIELD_WAS] = "was",
	[FIELD_COOKIE] = "cookie",
	[FIELD_INODE] = "inode",
	[FIELD_NETNS] = "netns",
	[FIELD_LISTEN] = "listen",
	[FIELD_INTERFACE] = "interface",
	[FIELD_QUEUE] = "queue",
	[FIELD_IFNAME] = "ifname",
	[FIELD_FLOWS] = "flows",
};

#define BIT(f) (1u << (f))
/* What a record of each kind must have, and may have. */
#define TASK_IDENTITY \
	(BIT(FIELD_KNOB) | BIT(FIELD_TID) | BIT(FIELD_TGID) | BIT(FIELD_START) | BIT(FIELD_TGSTART))
#define IRQ_IDENTITY	(BIT(FIELD_KNOB) | BIT(FIELD_IRQ) | BIT(FIELD_HWIRQ) | BIT(FIELD_ACTIONS))
#define SOCKET_IDENTITY (BIT(FIELD_KNOB) | BIT(FIELD_COOKIE))
#define PLACE_IDENTITY \
	(BIT(FIELD_KNOB) | BIT(FIELD_NETNS) | BIT(FIELD_LISTEN) | BIT(FIELD_INTERFACE))
#define QUEUE_IDENTITY (BIT(FIELD_KNOB) | BIT(FIELD_INTERFACE) | BIT(FIELD_QUEUE))
#define SOCKET_MUST \
	(SOCKET_IDENTITY | BIT(FIELD_TGID) | BIT(FIELD_INODE) | BIT(FIELD_NETNS) | MASKS)
#define MASKS	   (BIT(FIELD_ORIGINAL) | BIT(FIELD_SET))
#define COMMON_MAY (BIT(FIELD_GROUP) | BIT(FIELD_PLAN) | BIT(FIELD_WAS))
#define TASK_MAY                                                                \
	(COMMON_MAY | BIT(FIELD_PENDING) | BIT(FIELD_ALONE) | BIT(FIELD_ROOT) | \
	 BIT(FIELD_ROOTSTART) | BIT(FIELD_PLACED) | BIT(FIELD_CGROUP))
#define IRQ_MAY (COMMON_MAY | BIT(FIELD_EFFECTIVE) | BIT(FIELD_PENDING))

/* CRC-32 of IEEE 802.3, reflected, polynomial 0xEDB88320; four bits a step, so that the table is short. */
uint32_t cb_journal_crc(const char *buf, size_t len)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
		0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < len; i++) {
		crc ^= (unsigned char)buf[i];
		crc = (crc >> 4) ^ table[crc & 15];
		crc = (crc >> 4) ^ table[crc & 15];
	}
	return ~crc;
}

/* --- reading --- */

static int parse_u64(const char *value, size_t len, uint64_t max, uint64_t *ret)
{
	struct cb_scan s = CB_SCAN(value, len);
	uint64_t n;

	if (!cb_scan_u64(&s, &n) || !cb_scan_done(&s) || n > max)
		return -EBADMSG;
	*ret = n;
	return 0;
}

static int parse_i32(const char *value, size_t len, int32_t min, int32_t *ret)
{
	struct cb_scan s = CB_SCAN(value, len);
	int64_t n;

	if (!cb_scan_i64(&s, &n) || !cb_scan_done(&s) || n < min || n > INT32_MAX)
		return -EBADMSG;
	*ret = (int32_t)n;
	return 0;
}

static int parse_hex64(const char *value, size_t len, uint64_t *ret)
{
	struct cb_scan s = CB_SCAN(value, len);

	return cb_scan_hex64(&s, ret) && cb_scan_done(&s) ? 0 : -EBADMSG;
}

/* No mask of a thread or an interrupt is empty: none was ever read or written that is. "none" is a socket's or a queue's. */
static int parse_mask(const char *value, size_t len, struct cb_cpuset *ret)
{
	struct cb_cpuset set;

	if (len == strlen(NO_CPU) && memcmp(value, NO_CPU, len) == 0) {
		*ret = CB_CPUSET_EMPTY;
		return 0;
	}
	if (cb_cpuset_parse_list(value, len, &set) < 0 || cb_cpuset_empty(&set))
		return -EBADMSG;
	*ret = set;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Undo escape(). */
static int parse_text(const char *value, size_t len, char *ret, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = value[i];

		if (c == '%') {
			int high = len - i > 2 ? hex_digit(value[i + 1]) : -1;
			int low = len - i > 2 ? hex_digit(value[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -EBADMSG;
			c = (char)(high * 16 + low);
			i += 2;
		}
		if (c == 0 || n + 1 >= size)
			return -EBADMSG;
		ret[n++] = c;
	}
	ret[n] = 0;
	return 0;
}

static int parse_knob(const char *value, size_t len, enum cb_knob_id *ret)
{
	char name[32];
	enum cb_knob_id id;

	if (parse_text(value, len, name, sizeof(name)) < 0)
		return -EBADMSG;
	id = cb_knob_from_name(name);
	if (id == _CB_KNOB_INVALID)
		return -EBADMSG;
	*ret = id;
	return 0;
}

static int parse_u32(const char *value, size_t len, uint32_t *ret)
{
	uint64_t n;
	int r = parse_u64(value, len, UINT32_MAX, &n);

	if (r == 0)
		*ret = (uint32_t)n;
	return r;
}

/* "0/4096/0": original, set, was. */
static int parse_flows(const char *value, size_t len, struct cb_journal_entry *e)
{
	struct cb_scan s = CB_SCAN(value, len);

	return cb_scan_u32(&s, &e->flows.original) && cb_scan_char(&s, '/') &&
			       cb_scan_u32(&s, &e->flows.set) && cb_scan_char(&s, '/') &&
			       cb_scan_u32(&s, &e->flows.was) && cb_scan_done(&s) ?
		       0 :
		       -EBADMSG;
}

static int parse_field(enum field field, const char *value, size_t len, struct cb_journal_entry *e)
{
	switch (field) {
	case FIELD_KNOB:
		return parse_knob(value, len, &e->knob);
	case FIELD_TID:
		return parse_i32(value, len, 1, &e->tid);
	case FIELD_TGID:
		return parse_i32(value, len, 1, &e->tgid);
	case FIELD_START:
		return parse_u64(value, len, UINT64_MAX, &e->start_ticks);
	case FIELD_TGSTART:
		return parse_u64(value, len, UINT64_MAX, &e->tgid_start_ticks);
	case FIELD_ROOT:
		return parse_i32(value, len, 1, &e->root_tgid);
	case FIELD_ROOTSTART:
		return parse_u64(value, len, UINT64_MAX, &e->root_start_ticks);
	case FIELD_PLACED:
		return parse_u64(value, len, UINT64_MAX, &e->placed_ticks);
	case FIELD_CGROUP:
		return parse_hex64(value, len, &e->cgroup_id);
	case FIELD_IRQ:
		return parse_u32(value, len, &e->irq);
	case FIELD_HWIRQ:
		return parse_u64(value, len, UINT64_MAX, &e->hwirq);
	case FIELD_ACTIONS:
		return parse_text(value, len, e->actions, sizeof(e->actions));
	case FIELD_EFFECTIVE:
		return parse_i32(value, len, 0, &e->original_effective_cpu);
	case FIELD_ALONE:
		e->alone = len == 1 && *value == '1';
		return e->alone ? 0 : -EBADMSG;
	case FIELD_COOKIE:
		return parse_u64(value, len, UINT64_MAX, &e->cookie);
	case FIELD_INODE:
		return parse_u32(value, len, &e->inode);
	case FIELD_NETNS:
		return parse_u64(value, len, UINT64_MAX, &e->netns);
	case FIELD_LISTEN:
		return cb_listen_parse(value, len, &e->local) < 0 ? -EBADMSG : 0;
	case FIELD_INTERFACE:
		return parse_u32(value, len, &e->interface);
	case FIELD_QUEUE:
		return parse_u32(value, len, &e->queue);
	case FIELD_IFNAME:
		return parse_text(value, len, e->ifname, sizeof(e->ifname));
	case FIELD_FLOWS:
		return parse_flows(value, len, e);
	case FIELD_PENDING:
		e->pending = len == 1 && *value == '1';
		return e->pending ? 0 : -EBADMSG;
	case FIELD_GROUP:
		return parse_text(value, len, e->group, sizeof(e->group)) == 0 && e->group[0] ?
			       0 :
			       -EBADMSG;
	case FIELD_PLAN:
		return parse_u32(value, len, &e->plan_id);
	case FIELD_ORIGINAL:
		return parse_mask(value, len, &e->original);
	case FIELD_SET:
		return parse_mask(value, len, &e->set);
	case FIELD_WAS:
		return parse_mask(value, len, &e->was);
	case _FIELD_MAX:
		break;
	}
	return -EBADMSG;
}

static enum field field_from_name(const char *name, size_t len)
{
	enum field field = FIELD_KNOB;

	while (field < _FIELD_MAX &&
	       (strlen(field_names[field]) != len || memcmp(field_names[field], name, len) != 0))
		field++;
	return field;
}

/* The fields of a line behind "set" or "drop". @ret_seen: a bit for each that was there. */
static int parse_fields(struct cb_scan *s, struct cb_journal_entry *e, uint32_t *ret_seen,
			struct cb_err *err)
{
	uint32_t seen = 0;

	while (cb_scan_char(s, ' ')) {
		const char *token, *equals;
		enum field field;
		size_t len;

		if (!cb_scan_token(s, &token, &len))
			return cb_err_set(err, -EBADMSG, "a blank without a field behind it");
		equals = memchr(token, '=', len);
		field = equals ? field_from_name(token, (size_t)(equals - token)) : _FIELD_MAX;
		if (field == _FIELD_MAX)
			return cb_err_set(err, -EBADMSG, "unknown field \"%.*s\"",
					  (int)CB_MIN(len, 32u), token);
		if (seen & BIT(field))
			return cb_err_set(err, -EBADMSG, "field \"%s\" is there twice",
					  field_names[field]);
		seen |= BIT(field);
		len -= (size_t)(equals + 1 - token);
		if (parse_field(field, equals + 1, len, e) < 0)
			return cb_err_set(err, -EBADMSG, "field \"%s\" has no valid value",
					  field_names[field]);
	}
	if (!cb_scan_done(s))
		return cb_err_set(err, -EBADMSG, "something is left behind the last field");
	*ret_seen = seen;
	return 0;
}

static const struct kind {
	uint32_t identity, must, may;
} kinds[_CB_KNOB_MAX] = {
	[CB_KNOB_TASK_AFFINITY] = { TASK_IDENTITY, TASK_IDENTITY | MASKS, TASK_MAY },
	[CB_KNOB_IRQ_AFFINITY] = { IRQ_IDENTITY, IRQ_IDENTITY | MASKS, IRQ_MAY },
	[CB_KNOB_INCOMING_CPU] = { SOCKET_IDENTITY, SOCKET_MUST, COMMON_MAY },
	[CB_KNOB_REUSEPORT_WEIGHTS] = { PLACE_IDENTITY, PLACE_IDENTITY | BIT(FIELD_TGID),
					COMMON_MAY },
	[CB_KNOB_RPS_CPUS] = { QUEUE_IDENTITY, QUEUE_IDENTITY | BIT(FIELD_IFNAME) | MASKS,
			       COMMON_MAY },
	[CB_KNOB_RPS_FLOWS] = { QUEUE_IDENTITY,
				QUEUE_IDENTITY | BIT(FIELD_IFNAME) | BIT(FIELD_FLOWS), COMMON_MAY },
	[CB_KNOB_XPS_CPUS] = { QUEUE_IDENTITY, QUEUE_IDENTITY | BIT(FIELD_IFNAME) | MASKS,
			       COMMON_MAY },
};

/* Are all fields there that such a record needs, and no others? */
static int check_fields(const struct cb_journal_entry *e, bool drop, uint32_t seen,
			struct cb_err *err)
{
	const struct kind *kind = &kinds[e->knob];
	uint32_t must = drop ? kind->identity : kind->must;
	uint32_t may = must | (drop ? 0 : kind->may);

	for (enum field f = FIELD_KNOB; f < _FIELD_MAX; f++) {
		if (must & ~seen & BIT(f))
			return cb_err_set(err, -EBADMSG, "field \"%s\" is missing", field_names[f]);
		if (seen & ~may & BIT(f))
			return cb_err_set(err, -EBADMSG, "field \"%s\" does not belong here",
					  field_names[f]);
	}
	if (e->knob != CB_KNOB_INCOMING_CPU && !cb_entry_is_queue(e) &&
	    ((seen & BIT(FIELD_ORIGINAL) && cb_cpuset_empty(&e->original)) ||
	     (seen & BIT(FIELD_SET) && cb_cpuset_empty(&e->set)) ||
	     (seen & BIT(FIELD_WAS) && cb_cpuset_empty(&e->was))))
		return cb_err_set(err, -EBADMSG, "a mask is empty");
	if (!(seen & BIT(FIELD_ROOT)) != !(seen & BIT(FIELD_ROOTSTART)))
		return cb_err_set(err, -EBADMSG,
				  "fields \"root\" and \"rootstart\" belong together");
	return 0;
}

int cb_journal_line_parse(const char *line, size_t len, struct cb_journal_entry *ret,
			  bool *ret_drop, struct cb_err *err)
{
	struct cb_scan s = CB_SCAN(line, len);
	struct cb_journal_entry e = { .knob = _CB_KNOB_INVALID, .original_effective_cpu = -1 };
	uint32_t seen = 0;
	uint64_t crc;
	bool drop;
	int r;

	if (memchr(line, '\n', len))
		return cb_err_set(err, -EBADMSG, "a newline inside a record");
	if (!cb_scan_hex64(&s, &crc) || s.p != line + 8 || !cb_scan_char(&s, ' '))
		return cb_err_set(err, -EBADMSG, "no checksum of 8 hexadecimal digits in front");
	if (crc != cb_journal_crc(s.p, (size_t)(s.end - s.p)))
		return cb_err_set(err, -EBADMSG, "the checksum is wrong");
	drop = cb_scan_word(&s, "drop");
	if (!drop && !cb_scan_word(&s, "set"))
		return cb_err_set(err, -EBADMSG,
				  "neither \"set\" nor \"drop\" behind the checksum");
	r = parse_fields(&s, &e, &seen, err);
	if (r < 0)
		return r;
	if (!(seen & BIT(FIELD_KNOB)))
		return cb_err_set(err, -EBADMSG, "field \"knob\" is missing");
	r = check_fields(&e, drop, seen, err);
	if (r < 0)
		return r;
	e.heir = seen & BIT(FIELD_ROOT);
	*ret = e;
	*ret_drop = drop;
	return 0;
}

/* --- writing --- */

/* A line that grows in a buffer; len > size means that it did not fit. */
struct line {
	char *buf;
	size_t size, len;
};

static _printf_(2, 3) void put(struct line *line, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (line->len >= line->size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(line->buf + line->len, line->size - line->len, fmt, ap);
	va_end(ap);
	line->len = n < 0 ? line->size : line->len + (size_t)n;
}

/* Anything but plain letters as %XX: names of interrupts come from drivers. */
static void put_text(struct line *line, enum field field, const char *text)
{
	put(line, " %s=", field_names[field]);
	for (; *text; text++) {
		if ((unsigned char)*text > ' ' && (unsigned char)*text < 0x7f && *text != '%')
			put(line, "%c", *text);
		else
			put(line, "%%%02X", (unsigned int)(unsigned char)*text);
	}
}

static void put_number(struct line *line, enum field field, uint64_t number)
{
	put(line, " %s=%llu", field_names[field], (unsigned long long)number);
}

static void put_mask(struct line *line, enum field field, const struct cb_cpuset *mask)
{
	int n;

	put(line, " %s=", field_names[field]);
	if (line->len >= line->size)
		return;
	if (cb_cpuset_empty(mask)) {
		put(line, NO_CPU);
		return;
	}
	n = cb_cpuset_format_list(mask, line->buf + line->len, line->size - line->len);
	line->len = n < 0 ? line->size : line->len + (size_t)n;
}

static void put_task(struct line *line, const struct cb_journal_entry *e, bool drop)
{
	put_number(line, FIELD_TID, (uint64_t)e->tid);
	put_number(line, FIELD_TGID, (uint64_t)e->tgid);
	put_number(line, FIELD_START, e->start_ticks);
	put_number(line, FIELD_TGSTART, e->tgid_start_ticks);
	if (drop)
		return;
	if (e->alone)
		put_number(line, FIELD_ALONE, 1);
	if (e->heir) {
		put_number(line, FIELD_ROOT, (uint64_t)e->root_tgid);
		put_number(line, FIELD_ROOTSTART, e->root_start_ticks);
	}
	put_number(line, FIELD_PLACED, e->placed_ticks);
	if (e->cgroup_id != 0)
		put(line, " %s=%llx", field_names[FIELD_CGROUP], (unsigned long long)e->cgroup_id);
}

static void put_irq(struct line *line, const struct cb_journal_entry *e, bool drop)
{
	put_number(line, FIELD_IRQ, e->irq);
	put_number(line, FIELD_HWIRQ, e->hwirq);
	put_text(line, FIELD_ACTIONS, e->actions);
	if (drop)
		return;
	if (e->original_effective_cpu >= 0)
		put_number(line, FIELD_EFFECTIVE, (uint64_t)e->original_effective_cpu);
}

static void put_socket(struct line *line, const struct cb_journal_entry *e, bool drop)
{
	put_number(line, FIELD_COOKIE, e->cookie);
	if (drop)
		return;
	put_number(line, FIELD_TGID, (uint64_t)e->tgid);
	put_number(line, FIELD_INODE, e->inode);
	put_number(line, FIELD_NETNS, e->netns);
}

static void put_place(struct line *line, const struct cb_journal_entry *e, bool drop)
{
	char text[CB_LISTEN_TEXT_MAX];

	put_number(line, FIELD_NETNS, e->netns);
	put_text(line, FIELD_LISTEN, cb_listen_format(&e->local, text, sizeof(text)));
	put_number(line, FIELD_INTERFACE, e->interface);
	if (!drop)
		put_number(line, FIELD_TGID, (uint64_t)e->tgid);
}

static void put_queue(struct line *line, const struct cb_journal_entry *e, bool drop)
{
	put_number(line, FIELD_INTERFACE, e->interface);
	put_number(line, FIELD_QUEUE, e->queue);
	if (drop)
		return;
	put_text(line, FIELD_IFNAME, e->ifname);
	if (e->knob == CB_KNOB_RPS_FLOWS)
		put(line, " %s=%u/%u/%u", field_names[FIELD_FLOWS], e->flows.original, e->flows.set,
		    e->flows.was);
}

static void put_identity(struct line *line, const struct cb_journal_entry *entry, bool drop)
{
	switch (entry->knob) {
	case CB_KNOB_TASK_AFFINITY:
		put_task(line, entry, drop);
		break;
	case CB_KNOB_IRQ_AFFINITY:
		put_irq(line, entry, drop);
		break;
	case CB_KNOB_INCOMING_CPU:
		put_socket(line, entry, drop);
		break;
	case CB_KNOB_REUSEPORT_WEIGHTS:
		put_place(line, entry, drop);
		break;
	case CB_KNOB_RPS_CPUS:
	case CB_KNOB_RPS_FLOWS:
	case CB_KNOB_XPS_CPUS:
		put_queue(line, entry, drop);
		break;
	case _CB_KNOB_MAX:
	case _CB_KNOB_INVALID:
		break;
	}
}

int cb_journal_line_format(const struct cb_journal_entry *entry, bool drop, char *buf, size_t size)
{
	struct line line = { .buf = buf, .size = size };
	char crc[9];

	put(&line, "00000000 %s knob=%s", drop ? "drop" : "set", cb_knob_get(entry->knob)->name);
	put_identity(&line, entry, drop);
	if (!drop) {
		if (entry->pending)
			put_number(&line, FIELD_PENDING, 1);
		if (entry->group[0])
			put_text(&line, FIELD_GROUP, entry->group);
		put_number(&line, FIELD_PLAN, entry->plan_id);
		if (entry->knob != CB_KNOB_REUSEPORT_WEIGHTS && entry->knob != CB_KNOB_RPS_FLOWS) {
			put_mask(&line, FIELD_ORIGINAL, &entry->original);
			put_mask(&line, FIELD_SET, &entry->set);
		}
		if (!cb_cpuset_empty(&entry->was))
			put_mask(&line, FIELD_WAS, &entry->was);
	}
	if (line.len >= size)
		return -ENOSPC;
	snprintf(crc, sizeof(crc), "%08x", cb_journal_crc(buf + 9, line.len - 9));
	memcpy(buf, crc, 8);
	return (int)line.len;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Findings as sentences: for somebody who is woken at night and has not read the manual. Each says what it is about, for how
 * long, and the figures that tell how bad it is.
 */

#include <stdio.h>
#include <string.h>

#include "engine_internal.h"

struct text {
	const struct cb_engine *engine;
	const struct cb_finding *finding;
	unsigned long long span_sec;
	char *buf;
	size_t size;
};

static const char *worker_name(const struct text *text, char *buf, size_t size)
{
	struct cb_item_ref worker = { CB_ITEM_WORKER, text->finding->worker_key };

	return cb_engine_item_name(text->engine, worker, buf, size);
}

/* "; its workers wait 212 ms/s", "" where nobody does. */
static const char *waiting(const struct cb_finding *finding, char *buf, size_t size)
{
	buf[0] = 0;
	if ((finding->known & CB_KNOWS(WAIT)) && finding->wait_per_sec >= 0.0005)
		snprintf(buf, size, "; its workers wait %.0f ms/s", finding->wait_per_sec * 1000);
	return buf;
}

/* " (the hypervisor takes 45 %)", "" where it takes nothing to speak of. */
static const char *taking(const struct cb_finding *finding, char *buf, size_t size)
{
	buf[0] = 0;
	if (finding->known & CB_KNOWS(STEAL))
		snprintf(buf, size, " (the hypervisor takes %.0f %%)", finding->steal_ratio * 100);
	return buf;
}

static void heat(const struct text *text)
{
	const struct cb_finding *finding = text->finding;
	char wait[48], steal[48];

	waiting(finding, wait, sizeof(wait));
	taking(finding, steal, sizeof(steal));
	if (finding->known & CB_KNOWS(COOLEST_CPU))
		snprintf(
			text->buf, text->size,
			"CPU %d is %.0f %% busy%s for %llu s, the coolest it could use is CPU %d at %.0f %%%s",
			finding->cpu, finding->busy_ratio * 100, steal, text->span_sec,
			finding->coolest_cpu, finding->coolest_ratio * 100, wait);
	else
		snprintf(text->buf, text->size,
			 "CPU %d is %.0f %% busy%s for %llu s and its workers may use no other%s",
			 finding->cpu, finding->busy_ratio * 100, steal, text->span_sec, wait);
}

static void saturated(const struct text *text)
{
	const struct cb_finding *finding = text->finding;
	size_t len;

	heat(text);
	len = strlen(text->buf);
	if (finding->known & CB_KNOWS(MORE_CPUS))
		snprintf(text->buf + len, text->size - len, "; %u more CPU%s would do%s",
			 finding->more_cpus, finding->more_cpus == 1 ? "" : "s",
			 finding->spare_cpus ? ", there are cool ones that they may not use" : "");
}

static void worker_bound(const struct text *text)
{
	char name[96];

	snprintf(text->buf, text->size,
		 "%s alone fills CPU %d (%.0f %% busy for %llu s): no move can help it",
		 worker_name(text, name, sizeof(name)), text->finding->cpu,
		 text->finding->busy_ratio * 100, text->span_sec);
}

static void concentration(const struct text *text)
{
	const struct cb_finding *finding = text->finding;

	snprintf(
		text->buf, text->size,
		"CPU %d does %.0f %% of the machine's network receiving (%.0f softirqs/s) for %llu s; "
		"interrupts and softirqs take %.0f %% of it",
		finding->cpu, finding->net_rx_share_ratio * 100, finding->net_rx_per_sec,
		text->span_sec, finding->softirq_ratio * 100);
}

static void storm(const struct text *text)
{
	const struct cb_finding *finding = text->finding;
	char name[96], who[160] = "", peers[48] = "the other CPUs are idle";

	if (finding->known & CB_KNOWS(PEERS))
		snprintf(peers, sizeof(peers), "that of all CPUs %.0f", finding->peers_per_sec);

	if (finding->known & CB_KNOWS(OF_WORKER))
		snprintf(who, sizeof(who), "; %.0f of them are %s's", finding->of_worker_per_sec,
			 worker_name(text, name, sizeof(name)));
	snprintf(text->buf, text->size,
		 "CPU %d switches tasks %.0f times a second for %llu s; its usual is %.0f, %s%s",
		 finding->cpu, finding->switches_per_sec, text->span_sec, finding->usual_per_sec,
		 peers, who);
}

static void stolen(const struct text *text)
{
	const struct cb_finding *finding = text->finding;

	snprintf(
		text->buf, text->size,
		"the hypervisor takes %.0f %% of CPU %d for %llu s, %.1f CPUs in all over %u CPU%s: not the doing of "
		"anything in here",
		finding->steal_ratio * 100, finding->cpu, text->span_sec, finding->steal_sum_ratio,
		finding->stolen_cpus, finding->stolen_cpus == 1 ? "" : "s");
}

static const char *group_name(const struct text *text)
{
	const struct group_state *group = engine_group(text->engine, text->finding->group_key);

	return group ? group->policy.name : "a group that is gone";
}

static void skew(const struct text *text)
{
	const struct cb_finding *finding = text->finding;
	char name[96];

	snprintf(
		text->buf, text->size,
		"%s has %u open connections and files for %llu s, the group's others have %.0f on average",
		worker_name(text, name, sizeof(name)), finding->connections, text->span_sec,
		finding->other_connections);
}

/* "; 12 connections a second are dropped", "" where none are. */
static const char *dropping(const struct cb_finding *finding, char *buf, size_t size)
{
	buf[0] = 0;
	if ((finding->known & CB_KNOWS(DROPS)) && finding->drops_per_sec >= 0.5)
		snprintf(buf, size, "; %.0f %s a second are dropped", finding->drops_per_sec,
			 finding->known & CB_KNOWS(QUEUED) ? "datagrams" : "connections");
	return buf;
}

/* Of UDP there are only bytes, and those as the kernel counts them: some hundred for the smallest datagram. */
static void queued(const struct text *text)
{
	const struct cb_finding *finding = text->finding;
	char name[96], shared[96], drops[64];

	snprintf(shared, sizeof(shared), "workers of %.60s, who share it", group_name(text));
	snprintf(
		text->buf, text->size,
		"datagrams fill %.0f of %.0f KiB of what may wait for %s to read them, for %llu s%s",
		finding->queued_bytes / 1024.0, finding->queued_max_bytes / 1024.0,
		finding->worker_key ? worker_name(text, name, sizeof(name)) : shared,
		text->span_sec, dropping(finding, drops, sizeof(drops)));
}

static void backlog(const struct text *text)
{
	const struct cb_finding *finding = text->finding;
	char name[96], others[80] = "", drops[64];

	dropping(finding, drops, sizeof(drops));
	if (finding->known & CB_KNOWS(OTHER_BACKLOG))
		snprintf(others, sizeof(others), ", for each of the group's others %.0f on average",
			 finding->other_backlog);
	if (finding->worker_key)
		snprintf(text->buf, text->size,
			 "%u of at most %u connections wait for %s to accept them, for %llu s%s%s",
			 finding->backlog, finding->backlog_max,
			 worker_name(text, name, sizeof(name)), text->span_sec, others, drops);
	else
		snprintf(
			text->buf, text->size,
			"%u of at most %u connections wait at sockets that workers of %s share, for %llu s%s",
			finding->backlog, finding->backlog_max, group_name(text), text->span_sec,
			drops);
}

static void stuck(const struct text *text)
{
	const struct cb_finding *finding = text->finding;
	char name[96], drops[64], does[80] = "it does not run";

	if ((finding->known & CB_KNOWS(STOPPED)) && finding->stopped)
		snprintf(does, sizeof(does), "it is stopped (SIGCONT lets it go on)");
	else if (finding->worker_cpu_ratio >= 0.01)
		snprintf(does, sizeof(does), "it computes (%.0f %% of a CPU) and calls nothing",
			 finding->worker_cpu_ratio * 100);
	snprintf(text->buf, text->size,
		 "%s accepts nothing for %llu s while %u connections wait for it: %s%s",
		 worker_name(text, name, sizeof(name)), text->span_sec, finding->backlog, does,
		 dropping(finding, drops, sizeof(drops)));
}

static void gone(const struct text *text)
{
	const struct cb_finding *finding = text->finding;
	const struct group_state *group = engine_group(text->engine, finding->group_key);
	char name[96], how_many[64] = "";

	if (finding->missing > 1)
		snprintf(how_many, sizeof(how_many), "%u workers are gone, the last ",
			 finding->missing);
	snprintf(
		text->buf, text->size,
		"%s%s (pid %d) ended %llu s ago and nothing has come in its place: %s has %u worker%s left",
		how_many, worker_name(text, name, sizeof(name)), group ? group->lost.pid : 0,
		text->span_sec, group_name(text), finding->workers,
		finding->workers == 1 ? "" : "s");
}

const char *cb_engine_finding_sentence(const struct cb_engine *engine,
				       const struct cb_finding *finding, char *buf, size_t size)
{
	struct text text = {
		.engine = engine,
		.finding = finding,
		.span_sec = (engine->now_usec - finding->since_usec) / CB_USEC_PER_SEC,
		.buf = buf,
		.size = size,
	};

	switch (finding->kind) {
	case CB_FINDING_HOT_CPU:
		heat(&text);
		break;
	case CB_FINDING_SATURATED:
		saturated(&text);
		break;
	case CB_FINDING_WORKER_BOUND:
		worker_bound(&text);
		break;
	case CB_FINDING_SOFTIRQ_CONCENTRATION:
		concentration(&text);
		break;
	case CB_FINDING_WORKER_GONE:
		gone(&text);
		break;
	case CB_FINDING_WORKER_STUCK:
		stuck(&text);
		break;
	case CB_FINDING_BACKLOG:
		if (finding->known & CB_KNOWS(QUEUED))
			queued(&text);
		else
			backlog(&text);
		break;
	case CB_FINDING_CONNECTION_SKEW:
		skew(&text);
		break;
	case CB_FINDING_CONTEXT_SWITCH_STORM:
		storm(&text);
		break;
	case CB_FINDING_STOLEN:
		stolen(&text);
		break;
	case _CB_FINDING_MAX:
	case _CB_FINDING_INVALID:
		snprintf(buf, size, "-");
		break;
	}
	return buf;
}

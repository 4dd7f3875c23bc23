/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Times of processes by generic netlink in bad times, with a kernel that says what it is told: answers that are cut short, come twice, from
 * strangers, late, or are lost; a family that is gone. Each process has its own answer or none. And a real worker whose
 * family vanishes is measured by its files from then on, without a jump.
 */
#include <sys/socket.h>

static ssize_t fake_sendmsg(int fd, const struct msghdr *message, int flags);
static int fake_recvmmsg(int fd, struct mmsghdr *message, unsigned int n, int flags,
			 struct timespec *timeout);
#include "lib/host/collect.h"
#define sendmsg	 fake_sendmsg
#define recvmmsg fake_recvmmsg
#include "lib/host/netlink_taskstats.c" /* for its inside */
#undef sendmsg
#undef recvmmsg

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "child.h"

#define FAMILY	   30u
#define BURSTS_MAX 4u
#define HEAD_BYTES sizeof(struct nlattr)

/* --- the kernel --- */

struct datagram {
	uint32_t from; /* its port, 0 the kernel's */
	int flags;
	size_t len;
	_Alignas(NLMSG_ALIGNTO) char bytes[ANSWER_BYTES];
};

struct burst { /* of one recvmmsg() */
	int error;
	unsigned int n;
	struct datagram datagram[8];
};

static struct {
	bool fake;
	int send_errno;
	unsigned int n_bursts, at, n_calls;
	struct burst burst[BURSTS_MAX];
	bool endless; /* the first burst again and again */
} kernel;

static ssize_t fake_sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (!kernel.fake)
		return sendmsg(fd, message, flags);
	errno = kernel.send_errno;
	return kernel.send_errno ? -1 : (ssize_t)message->msg_iov->iov_len;
}

static int fake_recvmmsg(int fd, struct mmsghdr *message, unsigned int n, int flags,
			 struct timespec *timeout)
{
	const struct burst *burst;

	if (!kernel.fake)
		return recvmmsg(fd, message, n, flags, timeout);
	kernel.n_calls++;
	errno = EAGAIN;
	if (kernel.at == kernel.n_bursts)
		return -1;
	burst = &kernel.burst[kernel.at];
	kernel.at += !kernel.endless;
	errno = burst->error;
	if (burst->error)
		return -1;
	for (unsigned int i = 0; i < burst->n && i < n; i++) {
		const struct datagram *d = &burst->datagram[i];
		struct sockaddr_nl from = { .nl_family = AF_NETLINK, .nl_pid = d->from };

		memcpy(message[i].msg_hdr.msg_iov->iov_base, d->bytes, d->len);
		memcpy(message[i].msg_hdr.msg_name, &from, sizeof(from));
		message[i].msg_len = (unsigned int)d->len;
		message[i].msg_hdr.msg_flags = d->flags;
	}
	return (int)CB_MIN(burst->n, n);
}

/* --- what it says --- */

static struct cb_taskstats_conn *conn;
static struct cb_taskstats_answer answers[3];

static struct burst *next_burst(void)
{
	assert_true(kernel.n_bursts < BURSTS_MAX);
	kernel.burst[kernel.n_bursts] = (struct burst){ 0 };
	return &kernel.burst[kernel.n_bursts++];
}

static size_t attr(char *to, uint16_t type, size_t len)
{
	struct nlattr head = { .nla_len = (uint16_t)(HEAD_BYTES + len), .nla_type = type };

	memcpy(to, &head, sizeof(head));
	return HEAD_BYTES;
}

/* The answer to request @index: so many nanoseconds of CPU time. */
static struct datagram *put_answer(struct burst *burst, uint32_t index, uint64_t cpu_nsec)
{
	struct datagram *d = &burst->datagram[burst->n++];
	struct taskstats stats = { .version = TASKSTATS_VERSION,
				   .cpu_run_virtual_total = cpu_nsec };
	const size_t inner = HEAD_BYTES + sizeof(stats);
	struct nlmsghdr header = { .nlmsg_type = FAMILY,
				   .nlmsg_seq = conn->seq + CB_TASKSTATS_BATCH + index };
	struct genlmsghdr genl = { .cmd = TASKSTATS_CMD_NEW };

	*d = (struct datagram){ .len = NLMSG_HDRLEN };
	memcpy(d->bytes + d->len, &genl, sizeof(genl));
	d->len += GENL_HDRLEN;
	d->len += attr(d->bytes + d->len, TASKSTATS_TYPE_AGGR_TGID, inner);
	d->len += attr(d->bytes + d->len, TASKSTATS_TYPE_STATS, sizeof(stats));
	memcpy(d->bytes + d->len, &stats, sizeof(stats));
	d->len += sizeof(stats);
	header.nlmsg_len = (uint32_t)d->len;
	memcpy(d->bytes, &header, sizeof(header));
	return d;
}

static void put_error(struct burst *burst, uint32_t index, int error)
{
	struct datagram *d = &burst->datagram[burst->n++];
	struct nlmsghdr header = { .nlmsg_type = NLMSG_ERROR,
				   .nlmsg_len = NLMSG_HDRLEN + sizeof(struct nlmsgerr),
				   .nlmsg_seq = conn->seq + CB_TASKSTATS_BATCH + index };
	struct nlmsgerr message = { .error = error };

	*d = (struct datagram){ .len = header.nlmsg_len };
	memcpy(d->bytes, &header, sizeof(header));
	memcpy(d->bytes + NLMSG_HDRLEN, &message, sizeof(message));
}

static int setup(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	kernel.fake = true;
	conn = calloc(1, sizeof(*conn));
	assert_non_null(conn);
	conn->family = FAMILY;
	conn->fd = -1;
	conn->seq = 1000;
	prepare_batch(conn);
	for (int32_t i = 0; i < 3; i++)
		answers[i] = (struct cb_taskstats_answer){ .pid = 100 + i };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	conn = cb_taskstats_conn_free(conn);
	return 0;
}

static void ask(void)
{
	cb_taskstats_conn_get(conn, answers, 3);
}

static void assert_answer(uint32_t index, uint64_t cpu_nsec)
{
	assert_int_equal(answers[index].r, 0);
	assert_int_equal(answers[index].stats.cpu_nsec, cpu_nsec);
}

/* --- cases --- */

static void the_first_answer_counts(void **state)
{
	struct burst *burst = next_burst();

	(void)state;
	put_answer(burst, 1, 11);
	put_answer(burst, 1, 99); /* twice */
	put_answer(burst, 0, 10);
	put_error(burst, 0, -ESRCH); /* too late */
	put_error(burst, 2, -ESRCH);
	ask();
	assert_answer(0, 10);
	assert_answer(1, 11);
	assert_int_equal(answers[2].r, -ESRCH);
}

static void others_are_passed_over(void **state)
{
	struct burst *burst = next_burst();

	(void)state;
	put_answer(burst, 0, 66)->from = 4711; /* a stranger */
	put_answer(burst, 1, 77)->flags = MSG_TRUNC;
	put_answer(burst, UINT32_MAX, 88); /* of the batch before */
	put_answer(burst, 3, 99);	   /* that nobody has asked for */
	put_answer(burst, 2, 12);
	ask();
	assert_int_equal(answers[0].r, -EAGAIN);
	assert_int_equal(answers[1].r, -EAGAIN);
	assert_answer(2, 12);
}

/* Of the rest there may be some; of what is lost there is no answer, which is not one of zero. */
static void lost_answers_leave_the_others(void **state)
{
	(void)state;
	next_burst()->error = ENOBUFS;
	next_burst()->error = EINTR;
	put_answer(next_burst(), 2, 12);
	ask();
	assert_int_equal(answers[0].r, -EAGAIN);
	assert_int_equal(answers[1].r, -EAGAIN);
	assert_answer(2, 12);
	/* the next batch is whole */
	kernel.n_bursts = kernel.at = 0;
	for (uint32_t i = 0; i < 3; i++)
		put_answer(next_burst(), i, 20 + i);
	ask();
	for (uint32_t i = 0; i < 3; i++)
		assert_answer(i, 20 + i);
}

static void cut_at_every_byte(void **state)
{
	size_t whole;

	(void)state;
	whole = put_answer(next_burst(), 0, 10)->len;
	for (size_t len = 0; len < whole; len++) {
		kernel.n_bursts = kernel.at = 0;
		put_answer(next_burst(), 0, 10)->len = len;
		ask();
		assert_true(answers[0].r == -EAGAIN || answers[0].r == -EBADMSG);
		/* and with a length that fits what is there */
		if (len < NLMSG_HDRLEN)
			continue;
		kernel.n_bursts = kernel.at = 0;
		put_answer(next_burst(), 0, 10)->len = len;
		memcpy(kernel.burst[0].datagram[0].bytes, &(uint32_t){ (uint32_t)len },
		       sizeof(uint32_t));
		ask();
		assert_true(answers[0].r == -EAGAIN || answers[0].r == -EBADMSG ||
			    answers[0].r == 0);
	}
}

static void a_socket_that_never_ends(void **state)
{
	(void)state;
	put_answer(next_burst(), 7, 1);
	kernel.endless = true;
	ask();
	assert_true(kernel.n_calls <= 16);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(answers[i].r, -EAGAIN);
}

static void a_family_that_is_gone(void **state)
{
	struct burst *burst = next_burst();

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		put_error(burst, i, -ENOENT);
	ask();
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(answers[i].r, -ENOENT);
	kernel.send_errno = ECONNREFUSED;
	ask();
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(answers[i].r, -ECONNREFUSED);
}

/* --- a real worker --- */

static struct cb_host *host;
static struct cb_snapshot snapshot;
static struct cb_collect_events events;

static void tick(void)
{
	events = (struct cb_collect_events){ 0 };
	assert_int_equal(cb_collect(host, &snapshot, &events), 0);
}

static bool by(enum cb_source source)
{
	return snapshot.valid >> source & 1;
}

static void a_worker_is_measured_by_its_files_then(void **state)
{
	struct cb_topology *topology = NULL;
	struct cb_irqs *irqs = NULL;
	struct cb_worker_identity identity;
	struct child *child;
	uint64_t before;
	int pidfd;

	(void)state;
	kernel.fake = false;
	if (geteuid() != 0) {
		print_message("skip: needs root\n");
		skip();
	}
	assert_int_equal(cb_host_open(&(struct cb_host_options){ 0 }, &host, NULL), 0);
	child = child_new();
	assert_int_equal(cb_host_topology(host, 1, &topology, NULL), 0);
	assert_int_equal(cb_host_irqs(host, 1, &irqs, NULL), 0);
	assert_int_equal(cb_host_identify(host, child->pid, &identity, NULL), 0);
	assert_int_equal(cb_host_watch(host, 1, 1, &identity, -1, &pidfd, NULL), 0);
	assert_int_equal(cb_host_prepare(host, topology, irqs, &snapshot, NULL), 0);
	child_do(child, "bb");
	tick();
	if (!by(CB_SOURCE_TASKSTATS)) {
		print_message("skip: no taskstats here\n");
		skip();
	}
	assert_true(snapshot.worker[0].present & CB_WORKER_HAS_CPU);
	before = snapshot.worker[0].cpu_nsec;
	assert_true(before > 0);
	kernel.fake = true;
	kernel.send_errno = ECONNREFUSED;
	/* It may come back; until that is given up there is no figure, which is not one of zero. */
	for (unsigned int i = 0; i < 8 && !by(CB_SOURCE_TASK_PROC); i++) {
		tick();
		assert_false(by(CB_SOURCE_TASKSTATS));
	}
	assert_true(by(CB_SOURCE_TASK_PROC));
	assert_true(snapshot.worker[0].present & CB_WORKER_HAS_CPU);
	assert_true(snapshot.worker[0].cpu_nsec >= before);
	assert_true(snapshot.worker[0].cpu_nsec < before + 5000000000);
	child_end_all();
	cb_snapshot_done(&snapshot);
	cb_topology_unref(topology);
	free(irqs);
	host = cb_host_close(host);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_first_answer_counts),
		CASE(others_are_passed_over),
		CASE(lost_answers_leave_the_others),
		CASE(cut_at_every_byte),
		CASE(a_socket_that_never_ends),
		CASE(a_family_that_is_gone),
		CASE(a_worker_is_measured_by_its_files_then),
	};

	return cmocka_run_group_tests_name("taskstats", tests, NULL, NULL);
}

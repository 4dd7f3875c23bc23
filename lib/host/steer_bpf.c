/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shares of new connections by a program of type SK_REUSEPORT: the kernel runs it for each SYN that comes to the address, and it
 * names the socket. It is so short that it is written here as instructions and loaded by bpf(2): no compiler for it is needed
 * to build, no library to run, and what is loaded does not depend on either.
 *
 * Each CPU counts connections and looks the slot of the next one up in a table of TABLE_SLOTS; shares are how often a slot stands
 * there. Counting instead of drawing lots gives each worker its share of few connections as well as of many. In each
 * stretch of the table slots stand in no order, so that clients that come in a rhythm of their own do not meet the table's.
 *
 * Shares are changed by writing the table, without touching what is attached. A socket that is closed leaves the array by
 * itself; a slot that is empty, or not there, means the kernel's own hash. A socket can be in one such array only: so one that an
 * application has filled is noticed, and not replaced.
 */
#include "steer.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TABLE_SLOTS   1024u /* a power of two */
#define STRETCH	      16u   /* slots that are shuffled among each other */
#define FREE_MSEC     10
#define FREE_TRIES    100u /* what was detached is freed a little later */
#define FALLBACK_SLOT CB_STEER_SOCKETS_MAX

#ifndef SO_ATTACH_REUSEPORT_EBPF
#define SO_ATTACH_REUSEPORT_EBPF 52
#endif
#ifndef SO_DETACH_REUSEPORT_BPF
#define SO_DETACH_REUSEPORT_BPF 68
#endif

/* What is attached at one address. */
struct shared {
	struct shared *next;
	uint64_t netns;
	struct cb_steer_place place;
	int table_fd;
	uint32_t n;
	uint32_t inode[CB_STEER_SOCKETS_MAX]; /* by slot */
};

/* A view of a namespace in which something is steered. */
struct space {
	struct space *next;
	uint64_t netns;
	struct cb_diag *diag;
};

struct cb_steer {
	struct shared *shared;
	struct space *space;
};

struct cb_steer *cb_steer_free(struct cb_steer *steer)
{
	if (!steer)
		return NULL;
	while (steer->shared) {
		struct shared *shared = steer->shared;

		steer->shared = shared->next;
		cb_closep(&shared->table_fd);
		free(shared);
	}
	while (steer->space) {
		struct space *space = steer->space;

		steer->space = space->next;
		cb_diag_free(space->diag);
		free(space);
	}
	free(steer);
	return NULL;
}

static struct cb_steer *steer_of(struct cb_steer **steer)
{
	if (!*steer)
		*steer = calloc(1, sizeof(**steer));
	return *steer;
}

/* --- bpf(2) --- */

static int bpf(int command, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

static int map_new(uint32_t type, uint32_t value_bytes, uint32_t entries)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = sizeof(uint32_t);
	attr.value_size = value_bytes;
	attr.max_entries = entries;
	memcpy(attr.map_name, "cpubalance", sizeof("cpubalance"));
	return bpf(BPF_MAP_CREATE, &attr);
}

static int map_set(int map_fd, uint32_t key, const void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map_fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)value;
	attr.flags = BPF_ANY;
	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

/* --- the program --- */

#define INSN(c, d, s, o, i)                                                                  \
	(struct bpf_insn)                                                                    \
	{                                                                                    \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (int16_t)(o), .imm = (i) \
	}
#define MOV_REG(d, s)	   INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV_IMM(d, i)	   INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ALU_IMM(op, d, i)  INSN(BPF_ALU64 | (op) | BPF_K, d, 0, 0, i)
#define ADD_REG(d, s)	   INSN(BPF_ALU64 | BPF_ADD | BPF_X, d, s, 0, 0)
#define STORE_IMM(d, o, i) INSN(BPF_ST | BPF_MEM | BPF_W, d, 0, o, i)
#define STORE(d, o, s)	   INSN(BPF_STX | BPF_MEM | BPF_W, d, s, o, 0)
#define LOAD(d, s, o)	   INSN(BPF_LDX | BPF_MEM | BPF_W, d, s, o, 0)
#define MAP(d, fd)	   INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define CALL(f)		   INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define IF_ZERO(d, o)	   INSN(BPF_JMP | BPF_JEQ | BPF_K, d, 0, o, 0)
#define EXIT()		   INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define KEY		   (-4) /* on the stack */

/* r6 the packet's context, r7 which connection of this CPU it is. */
static int program_new(int count_fd, int table_fd, int socks_fd)
{
	static const char license[] = "LGPL-2.1-or-later";
	const struct bpf_insn code[] = {
		MOV_REG(BPF_REG_6, BPF_REG_1),
		STORE_IMM(BPF_REG_10, KEY, 0),
		MOV_REG(BPF_REG_2, BPF_REG_10),
		ALU_IMM(BPF_ADD, BPF_REG_2, KEY),
		MAP(BPF_REG_1, count_fd),
		CALL(BPF_FUNC_map_lookup_elem),
		IF_ZERO(BPF_REG_0, 22),
		LOAD(BPF_REG_7, BPF_REG_0, 0),
		MOV_REG(BPF_REG_1, BPF_REG_7),
		ALU_IMM(BPF_ADD, BPF_REG_1, 1),
		STORE(BPF_REG_0, 0, BPF_REG_1),
		MOV_REG(BPF_REG_2, BPF_REG_10),
		ALU_IMM(BPF_ADD, BPF_REG_2, KEY),
		MAP(BPF_REG_1, table_fd),
		CALL(BPF_FUNC_map_lookup_elem),
		IF_ZERO(BPF_REG_0, 12),
		ALU_IMM(BPF_AND, BPF_REG_7, TABLE_SLOTS - 1),
		ALU_IMM(BPF_LSH, BPF_REG_7, 2),
		ADD_REG(BPF_REG_0, BPF_REG_7),
		LOAD(BPF_REG_1, BPF_REG_0, 0),
		STORE(BPF_REG_10, KEY, BPF_REG_1),
		MOV_REG(BPF_REG_1, BPF_REG_6),
		MAP(BPF_REG_2, socks_fd),
		MOV_REG(BPF_REG_3, BPF_REG_10),
		ALU_IMM(BPF_ADD, BPF_REG_3, KEY),
		MOV_IMM(BPF_REG_4, 0),
		CALL(BPF_FUNC_sk_select_reuseport),
		MOV_IMM(BPF_REG_0, SK_PASS), /* with no socket named: the kernel's hash */
		EXIT(),
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SK_REUSEPORT;
	attr.insns = (uintptr_t)code;
	attr.insn_cnt = CB_ARRAY_SIZE(code);
	attr.license = (uintptr_t)license;
	memcpy(attr.prog_name, "cpubalance", sizeof("cpubalance"));
	return bpf(BPF_PROG_LOAD, &attr);
}

/* --- the table --- */

/* xorshift of 32 bits: any order will do that is not the clients'. */
static uint32_t draw(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/*
 * Slots by weight, evenly spread: each time the one that is furthest behind its due (smooth weighted round robin), then shuffled
 * within short stretches.
 */
static void fill_table(const uint32_t *weight, uint32_t n, uint32_t table[TABLE_SLOTS])
{
	int64_t due[CB_STEER_SOCKETS_MAX] = { 0 }, sum = 0;
	uint32_t seed = 0x9e3779b9;

	for (uint32_t i = 0; i < n; i++)
		sum += weight[i];
	for (uint32_t at = 0; at < TABLE_SLOTS; at++) {
		uint32_t best = FALLBACK_SLOT;

		for (uint32_t i = 0; i < n; i++) {
			due[i] += weight[i];
			if (weight[i] > 0 && (best == FALLBACK_SLOT || due[i] > due[best]))
				best = i;
		}
		if (best != FALLBACK_SLOT)
			due[best] -= sum;
		table[at] = best;
	}
	for (uint32_t from = 0; from < TABLE_SLOTS; from += STRETCH)
		for (uint32_t i = STRETCH - 1; i > 0; i--) {
			uint32_t j = draw(&seed) % (i + 1), swap = table[from + i];

			table[from + i] = table[from + j];
			table[from + j] = swap;
		}
}

/* A worker's share is spread over the sockets that it has there. */
static int write_table(int table_fd, const struct cb_steer_set *set, uint32_t place)
{
	uint32_t table[TABLE_SLOTS], weight[CB_STEER_SOCKETS_MAX], n = 0;

	for (uint32_t i = 0; i < set->n; i++) {
		uint32_t n_own = 0;

		if (set->socket[i].place != place)
			continue;
		for (uint32_t k = 0; k < set->n; k++)
			n_own += set->socket[k].place == place &&
				 set->socket[k].worker == set->socket[i].worker;
		weight[n++] =
			set->worker[set->socket[i].worker].share * CB_STEER_SOCKETS_MAX / n_own;
	}
	fill_table(weight, n, table);
	return map_set(table_fd, 0, table);
}

/* --- attaching --- */

static struct shared *find_shared(const struct cb_steer *steer, uint64_t netns,
				  const struct cb_listen *local, uint32_t interface)
{
	struct shared *shared = steer ? steer->shared : NULL;

	while (shared && (shared->netns != netns || shared->place.interface != interface ||
			  memcmp(&shared->place.local, local, sizeof(*local)) != 0))
		shared = shared->next;
	return shared;
}

static void forget_shared(struct cb_steer *steer, struct shared *shared)
{
	for (struct shared **link = &steer->shared; *link; link = &(*link)->next) {
		if (*link != shared)
			continue;
		*link = shared->next;
		cb_closep(&shared->table_fd);
		free(shared);
		return;
	}
}

static bool same_sockets(const struct shared *shared, const struct cb_steer_set *set,
			 uint32_t place)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < set->n; i++) {
		if (set->socket[i].place != place)
			continue;
		if (n >= shared->n || shared->inode[n] != set->socket[i].inode)
			return false;
		n++;
	}
	return n == shared->n;
}

/* Into the array. While one of before is being freed its sockets are taken; one that stays so is somebody else's. */
static int add_socket(int socks_fd, uint32_t slot, const struct cb_steer_socket *socket)
{
	const struct timespec pause = { .tv_nsec = FREE_MSEC * 1000000L };
	_cleanup_close_ int fd = cb_steer_dup(socket);
	uint64_t value = (uint64_t)fd;
	int r = -EBUSY;

	if (fd < 0)
		return fd;
	for (uint32_t i = 0; r == -EBUSY && i < FREE_TRIES; i++) {
		r = map_set(socks_fd, slot, &value);
		if (r == -EBUSY)
			nanosleep(&pause, NULL);
	}
	return r;
}

static int attach(const struct cb_steer_socket *socket, int program_fd)
{
	_cleanup_close_ int fd = cb_steer_dup(socket);

	if (fd < 0)
		return fd;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program_fd,
			  sizeof(program_fd)) < 0 ?
		       -errno :
		       0;
}

static int detach(const struct cb_steer_socket *socket)
{
	_cleanup_close_ int fd = cb_steer_dup(socket);
	int nothing = 0;

	if (fd < 0)
		return fd;
	if (setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &nothing, sizeof(nothing)) == 0)
		return 0;
	return errno == ENOENT ? 0 : -errno; /* there is none by now */
}

/* Maps and program of one place; @shared gets the table and the slots. */
static int build(const struct cb_steer_set *set, uint32_t place, struct shared *shared)
{
	_cleanup_close_ int count_fd = map_new(BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint32_t), 1);
	_cleanup_close_ int socks_fd =
		map_new(BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, sizeof(uint64_t), CB_STEER_SOCKETS_MAX);
	_cleanup_close_ int program_fd = -1;
	const struct cb_steer_socket *first = NULL;
	int r;

	shared->table_fd = map_new(BPF_MAP_TYPE_ARRAY, TABLE_SLOTS * sizeof(uint32_t), 1);
	r = CB_MIN(CB_MIN(count_fd, socks_fd), shared->table_fd);
	if (r < 0)
		return r;
	r = write_table(shared->table_fd, set, place);
	for (uint32_t i = 0; r == 0 && i < set->n; i++) {
		if (set->socket[i].place != place)
			continue;
		first = first ? first : &set->socket[i];
		r = add_socket(socks_fd, shared->n, &set->socket[i]);
		shared->inode[shared->n++] = set->socket[i].inode;
	}
	if (r < 0 || !first)
		return r < 0 ? r : -ENOENT;
	program_fd = program_new(count_fd, shared->table_fd, socks_fd);
	return program_fd < 0 ? program_fd : attach(first, program_fd);
}

static const struct cb_steer_socket *any_at(const struct cb_steer_set *set, uint32_t place)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (set->socket[i].place == place)
			return &set->socket[i];
	return NULL;
}

void cb_steer_try(int *ret_shares, int *ret_cpu)
{
	_cleanup_close_ int count_fd = map_new(BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint32_t), 1);
	_cleanup_close_ int socks_fd =
		map_new(BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, sizeof(uint64_t), CB_STEER_SOCKETS_MAX);
	_cleanup_close_ int table_fd =
		map_new(BPF_MAP_TYPE_ARRAY, TABLE_SLOTS * sizeof(uint32_t), 1);
	_cleanup_close_ int program_fd = -1;
	int r = CB_MIN(CB_MIN(count_fd, socks_fd), table_fd);

	if (r >= 0)
		r = program_fd = program_new(count_fd, table_fd, socks_fd);
	*ret_shares = CB_MIN(r, 0);
	*ret_cpu = cb_steer_cpu_heeded();
}

static int share_anew(struct cb_steer *steer, const struct cb_steer_set *set, uint32_t place)
{
	struct shared *shared = calloc(1, sizeof(*shared));
	int r;

	if (!shared)
		return -ENOMEM;
	shared->netns = set->netns;
	shared->place = set->place[place];
	r = build(set, place, shared);
	if (r < 0) {
		cb_closep(&shared->table_fd);
		free(shared);
		return r;
	}
	shared->next = steer->shared;
	steer->shared = shared;
	return 0;
}

int cb_steer_share(struct cb_host *host, struct cb_steer **steer, const struct cb_steer_set *set,
		   uint32_t place, enum cb_reject *ret_why)
{
	struct cb_steer *s = steer_of(steer);
	struct shared *shared;
	int r = 0;

	(void)host;
	if (!s)
		return -ENOMEM;
	shared = find_shared(s, set->netns, &set->place[place].local, set->place[place].interface);
	if (shared && same_sockets(shared, set, place))
		return write_table(shared->table_fd, set, place);
	if (shared) {
		r = detach(any_at(set, place));
		forget_shared(s, shared);
	}
	if (r == 0)
		r = share_anew(s, set, place);
	if (r == -EBUSY)
		*ret_why = CB_REJECT_OWN_PROGRAM;
	else if (r == -EPERM || r == -EACCES || r == -ENOSYS)
		*ret_why = CB_REJECT_NO_RIGHT;
	else
		return r;
	return 1;
}

int cb_steer_unshare(struct cb_host *host, struct cb_steer **steer,
		     const struct cb_journal_entry *entry)
{
	struct shared *shared = find_shared(*steer, entry->netns, &entry->local, entry->interface);
	struct cb_steer_socket socket;
	int r = cb_steer_find(host, entry, &socket);

	if (r == 0)
		r = detach(&socket);
	if (shared && (r == 0 || r == -ENOENT))
		forget_shared(*steer, shared);
	return r;
}

/* --- are they still the same? --- */

struct compare {
	const struct cb_journal_entry *entry;
	const struct shared *shared;
	uint32_t n_same, n_other;
};

static void compare(const struct cb_socket *socket, void *userdata)
{
	struct compare *c = userdata;
	bool known = false;

	if (c->entry->knob == CB_KNOB_INCOMING_CPU) {
		c->n_same += socket->queue.inode == c->entry->inode;
		return;
	}
	if (socket->interface != c->entry->interface ||
	    memcmp(&socket->local, &c->entry->local, sizeof(socket->local)) != 0)
		return;
	for (uint32_t i = 0; i < c->shared->n; i++)
		known = known || c->shared->inode[i] == socket->queue.inode;
	c->n_same += known;
	c->n_other += !known;
}

static struct cb_diag *diag_of(struct cb_host *host, struct cb_steer *steer,
			       const struct cb_journal_entry *entry)
{
	_cleanup_close_ int pidfd = -1;
	struct space *space = steer->space;
	bool own = entry->netns == cb_netns_of(host, getpid());

	while (space && space->netns != entry->netns)
		space = space->next;
	if (space)
		return space->diag;
	space = calloc(1, sizeof(*space));
	if (!own)
		pidfd = (int)syscall(SYS_pidfd_open, entry->tgid, 0);
	if (!space || (!own && (pidfd < 0 || cb_netns_of(host, entry->tgid) != entry->netns)) ||
	    cb_diag_new(host, own ? -1 : pidfd, &space->diag) < 0) {
		free(space);
		return NULL;
	}
	space->netns = entry->netns;
	space->next = steer->space;
	steer->space = space;
	return space->diag;
}

int cb_steer_same(struct cb_host *host, struct cb_steer **steer,
		  const struct cb_journal_entry *entry)
{
	struct cb_steer *s = steer_of(steer);
	struct compare c = { .entry = entry };
	struct cb_diag *diag;
	int r;

	if (!s)
		return -ENOMEM;
	c.shared = find_shared(s, entry->netns, &entry->local, entry->interface);
	if (entry->knob == CB_KNOB_REUSEPORT_WEIGHTS && !c.shared)
		return 0; /* of another daemon's life */
	diag = diag_of(host, s, entry);
	if (!diag)
		return 0; /* nobody is left in there */
	r = cb_diag_dump(diag, CB_DIAG_LISTENERS, compare, &c);
	if (r < 0)
		return r;
	if (entry->knob == CB_KNOB_INCOMING_CPU)
		return c.n_same > 0;
	return c.n_other == 0 && c.n_same == c.shared->n;
}

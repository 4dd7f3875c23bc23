/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "genfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tool.h"

/* What the kernel asks for at most: 256 pages at once, so that big files come in one piece. */
#define PAGES_MAX 256u
#define BYTES_MAX (PAGES_MAX * 4096u)
#define VALID_SEC 3600u /* names and kinds never change */

struct genfs_node {
	uint64_t id;
	mode_t mode;
	char *name;
	char *text; /* of a plain file or a link; NULL for a generated one */
	struct genfs_node *parent, *next;
	struct genfs_node *first, *last; /* of a directory */
	genfs_read_fn read;
	genfs_write_fn write;
	void *object;
	uint32_t index;
};

/* All nodes by number; 1 is the root (FUSE_ROOT_ID), 0 is none. */
static struct genfs_node **nodes;
static size_t n_nodes = 1, cap_nodes;

static void *more(void *memory, size_t size)
{
	void *grown = realloc(memory, size);

	if (!grown)
		tool_die("out of memory");
	return grown;
}

/* --- texts --- */

static void make_room(struct genfs_text *text, size_t len)
{
	if (text->cap - text->len > len)
		return;
	text->cap = (text->len + len) * 2 + 256;
	text->data = more(text->data, text->cap);
}

void genfs_printf(struct genfs_text *text, const char *format, ...)
{
	va_list args;
	int len;

	make_room(text, 256);
	va_start(args, format);
	len = vsnprintf(text->data + text->len, text->cap - text->len, format, args);
	va_end(args);
	if ((size_t)len >= text->cap - text->len) {
		make_room(text, (size_t)len);
		va_start(args, format);
		vsnprintf(text->data + text->len, text->cap - text->len, format, args);
		va_end(args);
	}
	text->len += (size_t)len;
}

void genfs_number(struct genfs_text *text, uint64_t value)
{
	char digits[24];
	size_t n = sizeof(digits);

	do
		digits[--n] = (char)('0' + value % 10);
	while (value /= 10);
	make_room(text, sizeof(digits));
	memcpy(text->data + text->len, digits + n, sizeof(digits) - n);
	text->len += sizeof(digits) - n;
}

/* --- the tree --- */

static struct genfs_node *new_node(struct genfs_node *parent, const char *name, size_t name_len,
				   mode_t mode)
{
	struct genfs_node *node = more(NULL, sizeof(*node));

	*node = (struct genfs_node){ .id = n_nodes, .mode = mode, .parent = parent };
	node->name = strndup(name, name_len);
	if (n_nodes >= cap_nodes) {
		cap_nodes = cap_nodes ? cap_nodes * 2 : 1024;
		nodes = more(nodes, cap_nodes * sizeof(nodes[0]));
	}
	nodes[n_nodes++] = node;
	if (!parent)
		return node;
	if (parent->last)
		parent->last->next = node;
	else
		parent->first = node;
	parent->last = node;
	return node;
}

struct genfs_node *genfs_new(void)
{
	return new_node(NULL, "", 0, S_IFDIR | 0755);
}

static struct genfs_node *find(const struct genfs_node *dir, const char *name, size_t len)
{
	/* what is made and looked up is mostly what was made last */
	if (dir->last && strncmp(dir->last->name, name, len) == 0 && !dir->last->name[len])
		return dir->last;
	for (struct genfs_node *node = dir->first; node; node = node->next)
		if (strncmp(node->name, name, len) == 0 && !node->name[len])
			return node;
	return NULL;
}

struct genfs_node *genfs_dir(struct genfs_node *parent, const char *path)
{
	while (*path) {
		size_t len = strcspn(path, "/");
		struct genfs_node *node = find(parent, path, len);

		parent = node ? node : new_node(parent, path, len, S_IFDIR | 0755);
		path += len + (path[len] == '/');
	}
	return parent;
}

void genfs_text(struct genfs_node *dir, const char *name, const char *format, ...)
{
	struct genfs_node *node = new_node(dir, name, strlen(name), S_IFREG | 0444);
	va_list args;

	va_start(args, format);
	if (vasprintf(&node->text, format, args) < 0)
		tool_die("out of memory");
	va_end(args);
}

void genfs_file(struct genfs_node *dir, const char *name, mode_t mode, genfs_read_fn read,
		genfs_write_fn write, void *object, uint32_t index)
{
	struct genfs_node *node = new_node(dir, name, strlen(name), S_IFREG | mode);

	node->read = read;
	node->write = write;
	node->object = object;
	node->index = index;
}

void genfs_link(struct genfs_node *dir, const char *name, const char *target)
{
	struct genfs_node *node = new_node(dir, name, strlen(name), S_IFLNK | 0777);

	node->text = strdup(target);
}

/* --- the protocol --- */

struct request {
	int fd;
	const struct fuse_in_header *header;
	const void *body;
	struct genfs_node *node;
};

static void reply(const struct request *request, int error, const void *data, size_t len)
{
	struct fuse_out_header header = { .error = error, .unique = request->header->unique };
	struct iovec parts[] = { { &header, sizeof(header) }, { (void *)(uintptr_t)data, len } };

	header.len = (uint32_t)(sizeof(header) + len);
	/* ENOENT: who asked has been interrupted meanwhile */
	if (writev(request->fd, parts, len ? 2 : 1) < 0 && errno != ENOENT)
		tool_die("cannot answer the kernel: %s", strerror(errno));
}

static void fill_attr(const struct genfs_node *node, struct fuse_attr *ret)
{
	*ret = (struct fuse_attr){
		.ino = node->id,
		.mode = node->mode,
		.nlink = S_ISDIR(node->mode) ? 2 : 1,
		.blksize = 4096,
		.size = S_ISLNK(node->mode) ? strlen(node->text) : 0,
	};
}

static void do_init(const struct request *request)
{
	const struct fuse_init_in *in = request->body;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = in->minor < 31 ? in->minor : 31,
		.max_write = 64 * 1024,
		.max_pages = PAGES_MAX,
		.flags = FUSE_MAX_PAGES & in->flags,
	};

	reply(request, 0, &out, sizeof(out));
}

static void do_lookup(const struct request *request)
{
	const char *name = request->body;
	const struct genfs_node *node = find(request->node, name, strlen(name));
	struct fuse_entry_out out = { .entry_valid = VALID_SEC, .attr_valid = VALID_SEC };

	/* Number 0 says that there is none, and that this may be remembered. */
	if (node) {
		out.nodeid = node->id;
		fill_attr(node, &out.attr);
	}
	reply(request, 0, &out, sizeof(out));
}

static void do_getattr(const struct request *request)
{
	struct fuse_attr_out out = { .attr_valid = VALID_SEC };

	fill_attr(request->node, &out.attr);
	reply(request, 0, &out, sizeof(out));
}

/* The handle of an open file is the text that it has read; of a directory, nothing. */
static void do_open(const struct request *request)
{
	struct fuse_open_out out = { .open_flags = FOPEN_DIRECT_IO };

	if (request->header->opcode == FUSE_OPEN)
		out.fh = (uintptr_t)memset(more(NULL, sizeof(struct genfs_text)), 0,
					   sizeof(struct genfs_text));
	else
		out.open_flags = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR;
	reply(request, 0, &out, sizeof(out));
}

static void do_release(const struct request *request)
{
	const struct fuse_release_in *in = request->body;
	struct genfs_text *text = (struct genfs_text *)(uintptr_t)in->fh;

	if (text)
		free(text->data);
	free(text);
	reply(request, 0, NULL, 0);
}

static void do_read(const struct request *request)
{
	const struct fuse_read_in *in = request->body;
	struct genfs_text *text = (struct genfs_text *)(uintptr_t)in->fh;
	struct genfs_node *node = request->node;
	size_t len;

	if (in->offset == 0) {
		text->len = 0;
		if (node->text)
			genfs_printf(text, "%s", node->text);
		else
			node->read(text, node->object, node->index);
	}
	len = in->offset < text->len ? text->len - in->offset : 0;
	reply(request, 0, len ? text->data + in->offset : NULL, len < in->size ? len : in->size);
}

static void do_write(const struct request *request)
{
	const struct fuse_write_in *in = request->body;
	struct fuse_write_out out = { .size = in->size };
	char *data;
	int r = -EACCES;

	if (request->node->write) {
		data = strndup((const char *)(in + 1), in->size);
		r = request->node->write(data, in->size, request->node->object,
					 request->node->index);
		free(data);
	}
	reply(request, r, &out, r < 0 ? 0 : sizeof(out));
}

/* The offset of an entry is one more than its place in the list. */
static void do_readdir(const struct request *request)
{
	const struct fuse_read_in *in = request->body;
	size_t len = 0, size = in->size < BYTES_MAX ? in->size : BYTES_MAX, at = 0;
	static char buf[BYTES_MAX];

	for (const struct genfs_node *node = request->node->first; node; node = node->next) {
		struct fuse_dirent entry = { .ino = node->id,
					     .namelen = (uint32_t)strlen(node->name),
					     .type = (node->mode & S_IFMT) >> 12 };

		if (at++ < in->offset)
			continue;
		if (len + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry.namelen) > size)
			break;
		entry.off = at;
		memcpy(buf + len, &entry, FUSE_NAME_OFFSET);
		memcpy(buf + len + FUSE_NAME_OFFSET, node->name, entry.namelen);
		len += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry.namelen);
	}
	reply(request, 0, buf, len);
}

static void do_statfs(const struct request *request)
{
	struct fuse_statfs_out out = { .st = { .bsize = 4096, .namelen = 255 } };

	reply(request, 0, &out, sizeof(out));
}

static void answer(const struct request *request)
{
	switch (request->header->opcode) {
	case FUSE_INIT:
		return do_init(request);
	case FUSE_LOOKUP:
		return do_lookup(request);
	case FUSE_GETATTR:
	case FUSE_SETATTR: /* a shell's ">" cuts the file first */
		return do_getattr(request);
	case FUSE_READLINK:
		return reply(request, 0, request->node->text, strlen(request->node->text));
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		return do_open(request);
	case FUSE_READ:
		return do_read(request);
	case FUSE_WRITE:
		return do_write(request);
	case FUSE_READDIR:
		return do_readdir(request);
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		return do_release(request);
	case FUSE_STATFS:
		return do_statfs(request);
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return; /* want no answer */
	default:
		return reply(request, -ENOSYS, NULL, 0);
	}
}

int genfs_mount(const char *path)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[128];

	if (fd < 0)
		tool_die("cannot open /dev/fuse: %s", strerror(errno));
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other,default_permissions", fd);
	if (mount("giant", path, "fuse.giant", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) < 0)
		tool_die("cannot mount on %s: %s", path, strerror(errno));
	return fd;
}

void genfs_serve(int fd)
{
	static char buf[BYTES_MAX + 4096] __attribute__((__aligned__(8)));
	struct request request = { .fd = fd };

	for (;;) {
		ssize_t len = read(fd, buf, sizeof(buf));

		if (len < 0 && errno == ENODEV)
			return; /* unmounted */
		if (len < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue;
		if (len < (ssize_t)sizeof(*request.header))
			tool_die("cannot read a request: %s", strerror(errno));
		request.header = (const struct fuse_in_header *)buf;
		request.body = buf + sizeof(*request.header);
		request.node = request.header->nodeid < n_nodes && request.header->nodeid > 0 ?
				       nodes[request.header->nodeid] :
				       NULL;
		answer(&request);
	}
}

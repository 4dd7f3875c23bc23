/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A file system of generated files: a tree in memory whose files are text, or functions that are asked at each read and told
 * of each write. It speaks the kernel's FUSE protocol (linux/fuse.h) by itself, one request at a time, so the functions
 * need no locks. A read at offset 0 makes the text anew and later offsets go on in it: what a reader gets is of one
 * moment, as from a seq_file. The tree is built before it is served and does not change afterwards.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct genfs_node;

/* A text that grows. */
struct genfs_text {
	char *data;
	size_t len, cap;
};
__attribute__((__format__(__printf__, 2, 3))) void genfs_printf(struct genfs_text *text,
								const char *format, ...);
/** Append a decimal number; for files of a million of them. */
void genfs_number(struct genfs_text *text, uint64_t value);

/** Fill the empty @text with what the file says now. */
typedef void (*genfs_read_fn)(struct genfs_text *text, void *object, uint32_t index);
/** Somebody has written @data, of @len bytes and a NUL. Returns 0 or a negative errno, which is what write() gives. */
typedef int (*genfs_write_fn)(const char *data, size_t len, void *object, uint32_t index);

/** The root of the tree; there is one in a program. */
struct genfs_node *genfs_new(void);
/** The directory @path ("a/b/c") below @parent, made where it is missing. */
struct genfs_node *genfs_dir(struct genfs_node *parent, const char *path);
/** A file that always says the same; formatted. */
__attribute__((__format__(__printf__, 3, 4))) void genfs_text(struct genfs_node *dir,
							      const char *name, const char *format,
							      ...);
/** A generated file. @write NULL: nobody may write. @object and @index are handed to the functions. */
void genfs_file(struct genfs_node *dir, const char *name, mode_t mode, genfs_read_fn read,
		genfs_write_fn write, void *object, uint32_t index);
void genfs_link(struct genfs_node *dir, const char *name, const char *target);

/** Mount on @path. Returns the descriptor to serve; ends the program when it cannot (root and /dev/fuse are needed). */
int genfs_mount(const char *path);
/** Serve until the file system is unmounted. */
void genfs_serve(int fd);

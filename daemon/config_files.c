/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* By precedence. */
static const char *const places[] = { "/etc/cpubalanced/", "/run/cpubalanced/",
				      "/usr/lib/cpubalanced/" };

static bool add(struct cb_config_files *files, const char *path, bool dropin)
{
	if (files->n == CB_CONFIG_FILES_MAX)
		return false;
	snprintf(files->file[files->n].path, sizeof(files->file[0].path), "%s", path);
	files->file[files->n++].dropin = dropin;
	return true;
}

static int is_conf(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name); /* not by locale: the same order everywhere */
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* One of the same name, from a place before this one. */
static bool is_hidden(const struct cb_config_files *files, const char *name)
{
	for (size_t i = 0; i < files->n; i++)
		if (files->file[i].dropin && strcmp(base_name(files->file[i].path), name) == 0)
			return true;
	return false;
}

static int add_dropins(struct cb_config_files *files, const char *dir, struct cb_err *err)
{
	char path[CB_CONFIG_PATH_SIZE];
	struct dirent **names = NULL;
	int n = scandir(dir, &names, is_conf, by_bytes), r = 0;

	if (n < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (n < 0)
		return cb_err_set(err, -errno, "%s: %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name) >=
		    sizeof(path))
			r = cb_err_set(err, -ENAMETOOLONG, "%s: the path is too long", dir);
		else if (r == 0 && !is_hidden(files, names[i]->d_name) && !add(files, path, true))
			r = cb_err_set(err, -E2BIG, "%s: more than %u files of configuration", dir,
				       CB_CONFIG_FILES_MAX);
		free(names[i]);
	}
	free(names);
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct cb_config_file *x = a, *y = b;

	if (x->dropin != y->dropin)
		return x->dropin ? 1 : -1;
	return strcmp(base_name(x->path), base_name(y->path));
}

/* The places for @path, with what stands before them in it: 1 or all of them. */
static size_t find_places(const char *path, size_t *ret_prefix)
{
	const char *name = strrchr(path, '/');
	size_t len = strlen(places[0]), dir_len = name ? (size_t)(name + 1 - path) : 0;

	if (dir_len < len || strncmp(path + dir_len - len, places[0], len) != 0)
		return 1;
	*ret_prefix = dir_len - len;
	return CB_ARRAY_SIZE(places);
}

int cb_config_files(const char *path, struct cb_config_files *ret, struct cb_err *err)
{
	char main_file[CB_CONFIG_PATH_SIZE], dir[CB_CONFIG_PATH_SIZE];
	size_t prefix = 0, n = find_places(path, &prefix);
	bool found = false;
	int r = 0;

	*ret = (struct cb_config_files){ .n = 0 };
	if (strlen(path) > 4000)
		return cb_err_set(err, -ENAMETOOLONG, "%s: the path is too long", path);
	ret->file = calloc(CB_CONFIG_FILES_MAX, sizeof(*ret->file));
	if (!ret->file)
		return cb_err_set(err, -ENOMEM, "%s: out of memory", path);
	for (size_t i = 0; i < n && r == 0; i++) {
		if (n == 1)
			snprintf(main_file, sizeof(main_file), "%s", path);
		else
			snprintf(main_file, sizeof(main_file), "%.*s%s%s", (int)prefix, path,
				 places[i], base_name(path));
		if (!found && access(main_file, F_OK) == 0)
			found = add(ret, main_file, false);
		snprintf(dir, sizeof(dir), "%.4300s.d", main_file);
		r = add_dropins(ret, dir, err);
	}
	if (r == 0 && !found && !add(ret, path, false))
		r = cb_err_set(err, -E2BIG, "%s: more than %u files of configuration", path,
			       CB_CONFIG_FILES_MAX);
	if (r == 0)
		qsort(ret->file, ret->n, sizeof(*ret->file), by_name);
	return r;
}

void cb_config_files_done(struct cb_config_files *files)
{
	free(files->file);
	*files = (struct cb_config_files){ .n = 0 };
}

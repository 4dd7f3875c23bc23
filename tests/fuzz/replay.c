/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The main() of a fuzz target where libFuzzer is not: feeds it the empty input and every file of its
 * corpus, so that an input which once broke a parser is tried by every `make check`, with any compiler.
 * Invariant: an input is handed over in a heap block of exactly its size, so that a sanitizer or valgrind
 * sees a read one byte beyond it.
 *
 * fuzz_NAME [FILE-OR-DIRECTORY...]     default: tests/fuzz/corpus/NAME
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path, size_t *inputs)
{
	struct stat st;
	uint8_t *data;
	FILE *file = fopen(path, "re");
	size_t size;

	if (!file)
		return -errno;
	if (fstat(fileno(file), &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 0) {
		fclose(file);
		return -EINVAL;
	}
	size = (size_t)st.st_size;
	data = malloc(size ? size : 1);
	if (!data || fread(data, 1, size, file) != size) {
		free(data);
		fclose(file);
		return -EIO;
	}
	fclose(file);
	fprintf(stderr, "# %s\n", path);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	(*inputs)++;
	return 0;
}

static int replay_directory(const char *path, size_t *inputs)
{
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort), r = 0;

	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		char file[4096];

		if (r == 0 && names[i]->d_name[0] != '.') {
			snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
			r = replay_file(file, inputs);
		}
		free(names[i]);
	}
	free(names);
	return r;
}

static int replay(const char *path, size_t *inputs)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? replay_directory(path, inputs) : replay_file(path, inputs);
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const char *name = slash ? slash + 1 : argv[0];
	const uint8_t *nothing = malloc(1);
	char corpus[256];
	size_t inputs = 0;
	int r = 0;

	if (strncmp(name, "fuzz_", 5) == 0)
		name += 5;
	printf("1..1\n");
	fflush(stdout);
	LLVMFuzzerTestOneInput(nothing, 0);
	snprintf(corpus, sizeof(corpus), "tests/fuzz/corpus/%s", name);
	if (argc < 2)
		r = replay(corpus, &inputs);
	for (int i = 1; i < argc && r == 0; i++)
		r = replay(argv[i], &inputs);
	free((void *)(uintptr_t)nothing);
	if (r < 0 || inputs == 0) {
		printf("not ok 1 - %s: corpus %s: %s\n", name, argc < 2 ? corpus : "given",
		       r < 0 ? strerror(-r) : "no input in it");
		return EXIT_FAILURE;
	}
	printf("ok 1 - %s: %zu inputs\n", name, inputs);
	return EXIT_SUCCESS;
}

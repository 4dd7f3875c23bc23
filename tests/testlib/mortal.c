/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mortal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpubalance/macro.h"

#define WAIT_STEPS 600u /* of 20 ms each */
#define WAIT_USEC  20000u

const char *mortal_find(struct mortal *m, const char *test)
{
	const char *build = getenv("CB_BUILD");

	build = build ? build : "build";
	snprintf(m->life, sizeof(m->life), "%s/faulty/tests/system/%s", build, test);
	snprintf(m->daemon, sizeof(m->daemon), "%s/cpubalanced", build);
	return geteuid() != 0	     ? "needs root" :
	       access(m->life, X_OK) ? "the build with fault points is missing: make faulty" :
				       NULL;
}

/* In memory where that is possible: there are thousands of flushed writes. */
void mortal_begin(struct mortal *m)
{
	snprintf(m->dir, sizeof(m->dir), "%s/cpubalance-crash.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(m->dir));
}

void mortal_end(struct mortal *m)
{
	DIR *files = opendir(m->dir);
	struct dirent *entry;

	while (files && (entry = readdir(files)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(files), entry->d_name, 0);
	if (files)
		closedir(files);
	rmdir(m->dir);
}

pid_t mortal_run(const struct mortal *m, const char *program, const char *const *arguments,
		 const char *fault)
{
	const char *argv[12] = { program };
	char log[160];
	pid_t pid = fork();
	int fd;

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(log, sizeof(log), "%s/log", m->dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	for (size_t i = 1; i < CB_ARRAY_SIZE(argv) - 1 && *arguments; i++)
		argv[i] = *arguments++;
	if (fault)
		setenv("CB_FAULT", fault, 1);
	execv(program, (char *const *)(uintptr_t)argv);
	_exit(127);
}

int mortal_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

const char *mortal_said(const struct mortal *m)
{
	static char text[8192];
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/log", m->dir);
	file = fopen(path, "re");
	text[file ? fread(text, 1, sizeof(text) - 1, file) : 0] = '\0';
	if (file)
		fclose(file);
	return text;
}

bool mortal_dies_at(const struct mortal *m, const char *const *arguments, const char *point,
		    unsigned int times)
{
	char fault[64];
	int status;

	snprintf(fault, sizeof(fault), "%s:%u", point, times);
	status = mortal_status(mortal_run(m, m->life, arguments, fault));
	if (status != 0 && status != 128 + SIGKILL)
		fail_msg("%s: ended with %d: %s", fault, status, mortal_said(m));
	return status != 0;
}

int mortal_restore(const struct mortal *m)
{
	char run_dir[160];

	snprintf(run_dir, sizeof(run_dir), "--run-dir=%s", m->dir);
	return mortal_status(mortal_run(m, m->daemon,
					(const char *const[]){ "--restore", run_dir, NULL }, NULL));
}

pid_t mortal_daemon(const struct mortal *m)
{
	char run_dir[160], state_dir[160], config[160], started[160];
	FILE *file;
	pid_t pid;

	snprintf(run_dir, sizeof(run_dir), "--run-dir=%s", m->dir);
	snprintf(state_dir, sizeof(state_dir), "--state-dir=%s", m->dir);
	snprintf(config, sizeof(config), "--config=%s/conf", m->dir);
	snprintf(started, sizeof(started), "%s/started", m->dir);
	file = fopen(config + strlen("--config="), "we");
	assert_non_null(file);
	fprintf(file, "[Manager]\nSampleIntervalSec=250ms\nMetricsTextfile=%s\n", started);
	fclose(file);
	pid = mortal_run(m, m->daemon,
			 (const char *const[]){ "--bus=none", config, run_dir, state_dir, NULL },
			 NULL);
	for (unsigned int i = 0; i < WAIT_STEPS && access(started, F_OK) < 0; i++)
		usleep(WAIT_USEC);
	if (access(started, F_OK) < 0)
		fail_msg("the daemon did not start: %s", mortal_said(m));
	return pid;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/lock_holder.h"

static struct stat file_of(unsigned device_major, unsigned device_minor, ino_t inode)
{
	return (struct stat){ .st_dev = makedev(device_major, device_minor), .st_ino = inode };
}

Test(lock_holder, is_the_process_of_an_flock_on_that_very_file)
{
	struct stat file = file_of(0xfd, 1, 56789);
	pid_t pid = 0;

	cr_assert(wb_lock_holder_parse("3: FLOCK  ADVISORY  WRITE 1234 fd:01:56789 0 EOF", &file,
				       &pid));
	cr_assert_eq(pid, 1234);
}

Test(lock_holder, is_nobody_of_other_files_kinds_and_waiters)
{
	struct stat file = file_of(0xfd, 1, 56789);
	pid_t pid = 0;

	cr_assert_not(wb_lock_holder_parse("3: FLOCK ADVISORY WRITE 12 fd:02:56789 0 EOF", &file,
					   &pid));
	cr_assert_not(wb_lock_holder_parse("3: FLOCK ADVISORY WRITE 12 fd:01:5678 0 EOF", &file,
					   &pid));
	cr_assert_not(wb_lock_holder_parse("3: POSIX ADVISORY WRITE 12 fd:01:56789 0 EOF", &file,
					   &pid));
	cr_assert_not(wb_lock_holder_parse("3: -> FLOCK ADVISORY WRITE 12 fd:01:56789 0 EOF",
					   &file, &pid));
	cr_assert_not(wb_lock_holder_parse("", &file, &pid));
	cr_assert_eq(pid, 0);
}

/* A child that holds the lock, until `wake` is closed. */
static pid_t child_with_lock(int *wake, struct stat *file)
{
	char path[] = "/tmp/wbfs-lock-XXXXXX";
	int ready[2], hold[2], fd = mkstemp(path);
	char byte;
	pid_t pid;

	cr_assert_geq(fd, 0);
	cr_assert_eq(fstat(fd, file), 0);
	cr_assert(!pipe(ready) && !pipe(hold));
	pid = fork();
	if (!pid) {
		int own = open(path, O_RDWR);

		close(fd);
		close(hold[1]);
		if (own < 0 || flock(own, LOCK_EX) || write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit(read(hold[0], &byte, 1) != 0);
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	/* It stays open here: the file of a test beside this one must not get its number. */
	unlink(path);
	*wake = hold[1];
	return pid;
}

Test(lock_holder, is_found_and_named_while_it_lives)
{
	struct wb_lock_holder holder;
	struct stat file;
	int wake;
	pid_t pid = child_with_lock(&wake, &file);

	cr_assert(wb_lock_holder_find(&file, &holder));
	cr_assert_eq(holder.pid, pid);
	cr_assert_neq(holder.program[0], '\0');
	close(wake);
	waitpid(pid, NULL, 0);
	cr_assert_not(wb_lock_holder_find(&file, &holder));
}

Test(lock_holder, is_nobody_when_the_process_is_a_zombie)
{
	struct wb_lock_holder holder;
	struct stat file;
	siginfo_t info;
	int wake;
	pid_t pid = child_with_lock(&wake, &file);

	close(wake);
	cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	cr_assert_not(wb_lock_holder_find(&file, &holder));
	waitpid(pid, NULL, 0);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/process.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A sanitizer keeps data of its own there. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define THREAD_STACK_BYTES (1u << 20)
#else
#define THREAD_STACK_BYTES (256u << 10)
#endif

#define LARGE_PIECE_BYTES (128 << 10)

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

static bool has_capability(unsigned capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return !syscall(SYS_capget, &header, data) &&
	       (data[capability / 32].effective & (1u << capability % 32));
}

/* Only where no limit holds: below one, MCL_FUTURE would make later mappings
 * fail instead of leaving them unlocked. */
static bool lock_memory(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 && !has_capability(CAP_IPC_LOCK) &&
	    (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur != RLIM_INFINITY))
		return false;
	return !mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

/* Threads that are begun with default attributes, GLib's: 8 MiB each would be
 * locked in full. */
static void shrink_stacks(void)
{
	pthread_attr_t attributes;

	if (pthread_attr_init(&attributes))
		return;
	if (!pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES))
		pthread_setattr_default_np(&attributes);
	pthread_attr_destroy(&attributes);
}

/* What reading a log took goes back to the system when it is freed. By itself the
 * C library raises the threshold with each such piece, and keeps the next ones. */
static void give_memory_back(void)
{
#ifdef M_MMAP_THRESHOLD
	mallopt(M_MMAP_THRESHOLD, LARGE_PIECE_BYTES);
#endif
}

static bool lower_oom_score(void)
{
	static const char score[] = "-1000";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, score, strlen(score)) > 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

void wb_process_protect(struct wb_process_protection *protection)
{
	shrink_stacks();
	give_memory_back();
	protection->memory_locked = lock_memory();
	protection->io_flusher = !prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	protection->oom_protected = lower_oom_score();
}

/* While memory is still being laid out it is locked as it is touched. In the end
 * all of it is brought in: later, a page fault of ours could wait for memory
 * that only our writeback can free. */
bool wb_process_bring_memory_in(void)
{
	return !mlockall(MCL_CURRENT | MCL_FUTURE);
}

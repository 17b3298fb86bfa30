/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keeper/guard.h"
#include "keeper/link.h"
#include "keeper/notify.h"
#include "keeper/program.h"
#include "keeper/restart.h"
#include "keeper/say.h"
#include "keeper/spawn.h"

#define ENVIRONMENT_MAX 512u
#define NEW_PROGRAM_NS (INT64_C(60) * 1000 * 1000 * 1000)	/* to serve, after an upgrade */
#define DEATH_NS (INT64_C(10) * 1000 * 1000 * 1000)	/* of a worker with much memory */
#define NOBODY (-1)
#define REFUSAL_COUNT (WB_KEPT_IO_URING + 1u)
#define NOT_STARTED W_EXITCODE(EXIT_FAILURE, 0)

struct keeper {
	/* constant after start */
	const struct wb_keeper_config *config;
	struct wb_keeper_state *state;
	int signal_fd, state_fd, memory_fd;
	char *environment[ENVIRONMENT_MAX];
	char role_text[WB_SPAWN_ROLE_BYTES];

	int guard_fds[WB_KEEPER_DISKS];
	int fuse_fd;			/* -1 until the first worker has mounted */
	/* The kernel ends what was read from a descriptor with it. -1: none. */
	int clone_fd;
	int report_fd;

	pid_t worker;			/* NOBODY */
	int link_fd;
	int64_t began_ns, serving_ns;	/* 0: it does not serve yet */
	struct wb_restart restart;
	bool stop_is_asked;		/* while no worker served, or one may not have heard it */
	int64_t stop_ns;		/* when it was asked for last; 0: never */

	struct wb_program program, new_program;	/* the latter while an upgrade is under way */
	bool is_new;			/* the worker is of new_program */
	struct wb_program former;	/* of which `program` has not shown yet that it is as good */
	struct wb_link_message message;
};

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- start ------------------------------------------------------------------------- */

/* Without them it works as well, but for who comes in a moment without a worker. Tried
 * again with each worker: another's may just have been on its way out. */
static void take_guards(struct keeper *keeper)
{
	bool has_all = true;

	for (unsigned i = 0; i < WB_KEEPER_DISKS; i++) {
		const char *path = keeper->config->disk_paths[i];

		if (keeper->guard_fds[i] >= 0)
			continue;
		keeper->guard_fds[i] = wb_guard_take(path, keeper->config->is_read_only);
		/* A filesystem may have no such locks: then nobody has it. */
		if (keeper->guard_fds[i] < 0 && (errno == EAGAIN || errno == EACCES))
			has_all = false;
	}
	for (unsigned i = 0; i < WB_KEEPER_DISKS; i++)
		if (keeper->guard_fds[i] >= 0 && keeper->guard_fds[i] < 2 * WB_KEPT_FD_END)
			keeper->guard_fds[i] = wb_spawn_lift(keeper->guard_fds[i]);
	atomic_store(&keeper->state->has_locks, has_all);
}

static int listen_to_signals(void)
{
	sigset_t signals;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void fill_environment(struct keeper *keeper)
{
	unsigned count = 1;

	keeper->environment[0] = keeper->role_text;
	for (char *const *from = keeper->config->environment; *from; from++)
		if (count < ENVIRONMENT_MAX - 1)
			keeper->environment[count++] = *from;
	keeper->environment[count] = NULL;
}

/* What can kill a worker, lack of memory above all, must not reach the keeper. */
static void protect(void)
{
	static const char score[] = "-1000";
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!write(fd, score, strlen(score));
		close(fd);
	}
	(void)setrlimit(RLIMIT_MEMLOCK, &limit);
	(void)mlockall(MCL_CURRENT);
}

static bool keeper_init(struct keeper *keeper, const struct wb_keeper_config *config)
{
	keeper->config = config;
	keeper->state = config->state;
	keeper->state->version = WB_KEEPER_VERSION;
	keeper->state->keeper_pid = getpid();
	keeper->worker = NOBODY;
	keeper->fuse_fd = keeper->clone_fd = keeper->link_fd = -1;
	keeper->new_program.fd = keeper->former.fd = -1;
	keeper->report_fd = config->report_fd;
	if (keeper->report_fd >= 0)
		keeper->report_fd = wb_spawn_lift(keeper->report_fd);
	keeper->state_fd = wb_spawn_lift(config->state_fd);
	for (unsigned i = 0; i < WB_KEEPER_DISKS; i++)
		keeper->guard_fds[i] = -1;
	fill_environment(keeper);
	keeper->memory_fd = wb_spawn_lift(memfd_create("wbfs-ram-buffers", MFD_CLOEXEC));
	keeper->signal_fd = wb_spawn_lift(listen_to_signals());
	if (!wb_program_open_own(&keeper->program) || keeper->memory_fd < 0 ||
	    keeper->signal_fd < 0)
		return false;
	keeper->program.fd = wb_spawn_lift(keeper->program.fd);
	protect();
	return true;
}

/* --- one worker ------------------------------------------------------------------------ */

static bool cannot_start(const struct keeper *keeper)
{
	wb_say("no worker can be started for %s: %s", keeper->config->mount_point,
	       strerror(errno));
	return false;
}

static bool start_worker(struct keeper *keeper)
{
	const bool is_first = keeper->fuse_fd < 0;
	struct wb_spawn spawn = {
		.program = keeper->is_new ? &keeper->new_program : &keeper->program,
		.argv = keeper->config->argv,
		.envp = keeper->environment,
	};
	int ends[2];

	atomic_store(&keeper->state->phase, WB_KEPT_STARTING);
	atomic_store(&keeper->state->has_answered, 0);
	keeper->began_ns = now_ns();
	keeper->serving_ns = 0;
	take_guards(keeper);
	if (!wb_link_make(ends))
		return cannot_start(keeper);
	ends[0] = wb_spawn_lift(ends[0]);
	ends[1] = wb_spawn_lift(ends[1]);
	spawn.fds[WB_KEPT_FD_LINK] = ends[1];
	spawn.fds[WB_KEPT_FD_STATE] = keeper->state_fd;
	spawn.fds[WB_KEPT_FD_MEMORY] = keeper->memory_fd;
	spawn.fds[WB_KEPT_FD_FUSE] = keeper->fuse_fd;
	spawn.fds[WB_KEPT_FD_CLONE] = keeper->clone_fd;
	spawn.fds[WB_KEPT_FD_REPORT] = keeper->report_fd;
	keeper->worker = wb_spawn_worker(&spawn, is_first ? WB_KEPT_ROLE_FIRST :
							    WB_KEPT_ROLE_NEXT);
	close(ends[1]);
	/* Whoever reads the pipe waits for its last writer. */
	if (keeper->report_fd >= 0)
		close(keeper->report_fd);
	keeper->report_fd = -1;
	keeper->link_fd = ends[0];
	if (keeper->worker > 0) {
		if (keeper->stop_is_asked)
			kill(keeper->worker, SIGTERM);
		return true;
	}
	keeper->worker = NOBODY;
	keeper->link_fd = -1;
	cannot_start(keeper);
	close(ends[0]);
	return false;
}

static void end_upgrade(struct keeper *keeper, const char *problem)
{
	struct wb_keeper_state *state = keeper->state;

	wb_program_close(&keeper->new_program);
	keeper->is_new = false;
	if (problem)
		wb_say_into(state->upgrade_problem, sizeof state->upgrade_problem, "%s",
			    problem);
	atomic_fetch_add(problem ? &state->upgrades_failed : &state->upgrades_done, 1);
}

static void worker_serves(struct keeper *keeper)
{
	keeper->serving_ns = now_ns();
	take_guards(keeper);
	if (keeper->config->is_in_background) {
		wb_say_leave_terminal();
		wb_say_to_log();
	}
	if (keeper->is_new) {
		wb_program_close(&keeper->former);
		keeper->former = keeper->program;
		keeper->program = keeper->new_program;
		keeper->new_program.fd = -1;
		end_upgrade(keeper, NULL);
	}
	keeper->stop_is_asked = false;
}

/* --- upgrade ----------------------------------------------------------------------------- */

static void begin_upgrade(struct keeper *keeper, const char *path)
{
	char problem[WB_KEEPER_PROBLEM_BYTES];

	atomic_fetch_add(&keeper->state->upgrades_asked, 1);
	if (keeper->new_program.fd >= 0 || !keeper->serving_ns) {
		/* That one is not ours to end. */
		wb_say_into(keeper->state->upgrade_problem,
			    sizeof keeper->state->upgrade_problem,
			    "another worker is on its way already");
		atomic_fetch_add(&keeper->state->upgrades_failed, 1);
		return;
	}
	wb_program_close(&keeper->former);
	if (!wb_program_open(&keeper->new_program, *path ? path : keeper->program.path)) {
		wb_say_into(problem, sizeof problem, "cannot open %s: %s",
			    keeper->new_program.path, strerror(errno));
		end_upgrade(keeper, problem);
		return;
	}
	keeper->new_program.fd = wb_spawn_lift(keeper->new_program.fd);
	if (!wb_program_fits(&keeper->new_program, problem, sizeof problem)) {
		end_upgrade(keeper, problem);
		return;
	}
	(void)wb_link_send(keeper->link_fd, WB_LINK_HAND_OVER, "", -1);
}

/* --- what the worker says, and signals ------------------------------------------------------ */

/* The first one of its kind. */
static void keep_descriptor(int *kept, int *fd)
{
	if (*kept >= 0 || *fd < 0)
		return;
	*kept = wb_spawn_lift(*fd);
	*fd = -1;
}

static void worker_said(struct keeper *keeper)
{
	struct wb_link_message *message = &keeper->message;
	int fd;

	if (!wb_link_receive(keeper->link_fd, message, &fd)) {
		close(keeper->link_fd);
		keeper->link_fd = -1;
		return;
	}
	switch (message->kind) {
	case WB_LINK_MOUNTED:
		keep_descriptor(&keeper->fuse_fd, &fd);
		break;
	case WB_LINK_CLONED:
		keep_descriptor(&keeper->clone_fd, &fd);
		break;
	case WB_LINK_SERVING:
		worker_serves(keeper);
		break;
	case WB_LINK_NOTIFY:
		wb_notify(message->text);
		break;
	case WB_LINK_UPGRADE:
		begin_upgrade(keeper, message->text);
		break;
	case WB_LINK_BUSY:
		/* It listens again, and has obeyed what came meanwhile. */
		keeper->stop_is_asked = false;
		if (keeper->new_program.fd >= 0)
			end_upgrade(keeper, message->text);
		break;
	}
	if (fd >= 0)
		close(fd);
}

/* A signal of the terminal has reached the worker too. One that takes over hears of it
 * when it serves, or while it waits for a disk; should it die before, the next one does.
 * One that hands over does not listen in the end: then it is for the next one as well. */
static void stop_asked(struct keeper *keeper, const struct signalfd_siginfo *info)
{
	keeper->stop_ns = now_ns();
	if (keeper->worker == NOBODY || (!keeper->serving_ns && keeper->fuse_fd >= 0) ||
	    keeper->new_program.fd >= 0)
		keeper->stop_is_asked = true;
	if (keeper->worker != NOBODY && info->ssi_code <= 0)
		kill(keeper->worker, (int)info->ssi_signo);
}

/* TRUE when the worker is gone, with its *status. SIGHUP of a closed terminal asks for
 * nothing. */
static bool take_signals(struct keeper *keeper, int *status)
{
	struct signalfd_siginfo info;

	while (read(keeper->signal_fd, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			stop_asked(keeper, &info);
		else if (info.ssi_signo == SIGHUP && info.ssi_code <= 0)
			begin_upgrade(keeper, "");
	}
	return keeper->worker != NOBODY &&
	       waitpid(keeper->worker, status, WNOHANG) == keeper->worker;
}

static int wait_ms(const struct keeper *keeper)
{
	int64_t left_ns = keeper->began_ns + NEW_PROGRAM_NS - now_ns();

	if (!keeper->is_new || keeper->serving_ns)
		return -1;
	return left_ns > 0 ? (int)(left_ns / 1000000) + 1 : 0;
}

/* What it said before it died is heard. Returns the status. */
static int keep_worker(struct keeper *keeper)
{
	int64_t gone_ns;
	int status;

	while (!take_signals(keeper, &status)) {
		struct pollfd ready[2] = {
			{ .fd = keeper->signal_fd, .events = POLLIN },
			{ .fd = keeper->link_fd, .events = POLLIN },
		};

		if (!wait_ms(keeper))
			kill(keeper->worker, SIGKILL);
		poll(ready, 2, wait_ms(keeper) ? wait_ms(keeper) : -1);
		if (ready[1].revents)
			worker_said(keeper);
	}
	keeper->worker = NOBODY;
	gone_ns = now_ns();
	while (keeper->link_fd >= 0)
		worker_said(keeper);
	/* Users wait since one died that they had. */
	if (keeper->serving_ns)
		atomic_store(&keeper->state->gone_ns, gone_ns);
	return status;
}

/* --- and after it ------------------------------------------------------------------------------ */

static void pause_for(struct keeper *keeper, int pause_ms)
{
	int64_t until_ns = now_ns() + (int64_t)pause_ms * 1000000;
	int64_t left_ns;
	int status;

	while ((left_ns = until_ns - now_ns()) > 0) {
		struct pollfd ready = { .fd = keeper->signal_fd, .events = POLLIN };

		poll(&ready, 1, (int)(left_ns / 1000000) + 1);
		take_signals(keeper, &status);
	}
}

/* Users get errors from here on: nobody holds the session. */
static bool give_up(const struct keeper *keeper, const char *died, const char *why)
{
	wb_say("the worker of %s %s, and %s. What was synced is safe: unmount it, and the next "
	       "mount recovers", keeper->config->mount_point, died, why);
	return false;
}

static bool upgrade_goes_on(struct keeper *keeper, const char *died, uint32_t phase)
{
	char problem[WB_KEEPER_PROBLEM_BYTES];

	if (keeper->new_program.fd < 0)
		return false;
	if (!keeper->is_new && phase == WB_KEPT_HANDED_OVER) {
		/* Nothing was left open: of what comes until one serves, anybody can go on. */
		atomic_store(&keeper->state->refusal, WB_KEPT_CAN_FOLLOW);
		keeper->is_new = true;
		return true;
	}
	wb_say_into(problem, sizeof problem, "the %s worker %s", keeper->is_new ? "new" : "old",
		    died);
	end_upgrade(keeper, problem);
	return phase == WB_KEPT_HANDED_OVER;
}

/* It said that it serves, but may die of the first request that it gets. */
static void judge_program(struct keeper *keeper)
{
	if (keeper->former.fd < 0)
		return;
	if (keeper->restart.fruitless == 0) {
		wb_program_close(&keeper->former);
		return;
	}
	if (keeper->restart.fruitless <= WB_RESTART_FREE_MAX)
		return;
	wb_program_close(&keeper->program);
	keeper->program = keeper->former;
	keeper->former.fd = -1;
	keeper->restart.fruitless = 0;
	wb_say_into(keeper->state->upgrade_problem, sizeof keeper->state->upgrade_problem,
		    "the new program died again and again");
	wb_say("the new program at %s died again and again: the one before it goes on",
	       keeper->config->mount_point);
}

static const char *const refusals[] = {
	[WB_KEPT_OLD_KERNEL] = "this kernel lets no other take over",
	[WB_KEPT_IO_URING] = "over io_uring no other can take over",
};

/* Shall there be another worker? After the pause that is due. */
static bool goes_on(struct keeper *keeper, int status)
{
	uint32_t phase = atomic_load(&keeper->state->phase);
	struct wb_restart_life life = {
		.served_ns = keeper->serving_ns ? now_ns() - keeper->serving_ns : 0,
		.has_answered = atomic_load(&keeper->state->has_answered),
	};
	uint32_t refusal;
	char died[80];
	int pause_ms;

	if (phase == WB_KEPT_ENDED || keeper->fuse_fd < 0)
		return false;
	wb_say_status(status, died, sizeof died);
	atomic_store(&keeper->state->died, phase != WB_KEPT_HANDED_OVER);
	/* It was dying already when it was told, its threads one by one. */
	if (phase != WB_KEPT_HANDED_OVER && keeper->stop_ns &&
	    now_ns() - keeper->stop_ns < DEATH_NS)
		keeper->stop_is_asked = true;
	if (upgrade_goes_on(keeper, died, phase))
		return true;
	atomic_store(&keeper->state->last_status, status);
	refusal = atomic_load(&keeper->state->refusal) % REFUSAL_COUNT;
	if (refusal)
		return give_up(keeper, died, refusals[refusal]);
	pause_ms = wb_restart_next(&keeper->restart, &life);
	if (pause_ms < 0)
		return give_up(keeper, died, "so did those before it, one after the other");
	judge_program(keeper);
	atomic_fetch_add(&keeper->state->restarts, 1);
	pause_for(keeper, pause_ms);
	return true;
}

/* What it takes may be there again after a pause. That says nothing against a worker, and
 * what it would take over is in no other place. FALSE: it is the first, and there is none. */
static bool start_some_worker(struct keeper *keeper)
{
	unsigned tries = 0;

	while (!start_worker(keeper)) {
		if (keeper->fuse_fd < 0)
			return false;
		pause_for(keeper, wb_restart_pause_ms(tries++));
	}
	return true;
}

/* As if there had been no keeper. */
static int end_likewise(int status)
{
	const struct rlimit no_core = { 0, 0 };
	sigset_t signals;

	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	(void)setrlimit(RLIMIT_CORE, &no_core);
	signal(WTERMSIG(status), SIG_DFL);
	sigemptyset(&signals);
	sigaddset(&signals, WTERMSIG(status));
	sigprocmask(SIG_UNBLOCK, &signals, NULL);
	raise(WTERMSIG(status));
	return EXIT_FAILURE;
}

int wb_keeper_run(const struct wb_keeper_config *config)
{
	static struct keeper keeper;
	int status;

	if (!keeper_init(&keeper, config)) {
		wb_say("the keeper of %s cannot start: %s", config->mount_point,
		       strerror(errno));
		return EXIT_FAILURE;
	}
	do
		status = start_some_worker(&keeper) ? keep_worker(&keeper) : NOT_STARTED;
	while (goes_on(&keeper, status));
	return end_likewise(status);
}

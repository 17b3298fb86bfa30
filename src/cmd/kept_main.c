/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process of a worker that has a keeper, from its begin to its exit. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cmd/daemon.h"
#include "cmd/disk.h"
#include "cmd/kept.h"
#include "cmd/kept_wait.h"
#include "cmd/launch.h"
#include "cmd/mount_options.h"
#include "cmd/report.h"
#include "io/nbd_uri.h"
#include "keeper/program.h"

_Static_assert(sizeof(struct wb_kept_area) <= WB_KEPT_AREA_BYTES, "it has no room");

/* --- what it was asked for ------------------------------------------------------------ */

char *wb_kept_absolute(const char *path)
{
	return wb_nbd_uri_is(path) ? g_strdup(path) : g_canonicalize_filename(path, NULL);
}

static void append_path(GString *text, const char *name, const char *path)
{
	g_autofree char *absolute = wb_kept_absolute(path);

	g_string_append_printf(text, "%s=%s", name, absolute);
	g_string_append_c(text, '\0');
}

bool wb_kept_area_fill(struct wb_kept_area *area, const struct wb_options *options,
		       GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);

	append_path(text, "cache", options->cache_path);
	append_path(text, "backing", options->backing_path);
	wb_mount_options_save(options, text);
	g_string_append_c(text, '\0');
	if (text->len > sizeof area->options ||
	    strlen(options->argument) >= sizeof area->mount_point)
		return wb_fail(error, "the options of %s are too long for a keeper: mount with "
			       "-o keeper=off", options->argument);
	memcpy(area->options, text->str, text->len);
	g_strlcpy(area->mount_point, options->argument, sizeof area->mount_point);
	area->is_in_background = !options->foreground;
	area->is_forced = options->force;
	return true;
}

static bool read_words(const char *words, const char *end, struct wb_options *options,
		       GError **error)
{
	while (words < end && *words) {
		const char *next = words + strlen(words) + 1;
		g_autofree char *word = g_strdup(words);
		char *value = strchr(word, '=');

		if (value)
			*value++ = '\0';
		if (!wb_mount_options_set(options, word, value, error))
			return false;
		words = next;
	}
	return true;
}

bool wb_kept_area_read(struct wb_kept_area *area, struct wb_options *options, GError **error)
{
	uint32_t half = atomic_load(&area->tunables_half);
	const char *tunables = half ? area->tunables[half - 1] : NULL;

	options->argument = g_strdup(area->mount_point);
	options->foreground = !area->is_in_background;
	return read_words(area->options, area->options + sizeof area->options, options, error) &&
	       (!tunables ||
		read_words(tunables, tunables + WB_KEPT_TUNABLES_BYTES, options, error));
}

/* --- begin --------------------------------------------------------------------------------- */

bool wb_kept_is_called(void)
{
	return g_getenv(WB_KEPT_VARIABLE) != NULL;
}

/* No child of ours shall have it. */
static int inherit(enum wb_kept_fd number)
{
	return fcntl(number, F_SETFD, FD_CLOEXEC) < 0 ? -1 : (int)number;
}

/* Users wait until a dump is written, and for ever where it goes to a file on this mount.
 * At 1 the kernel refuses one into a pipe, too; 0 says nothing of that. */
static void leave_no_core(void)
{
	struct rlimit limit = { 0, 0 };

	(void)getrlimit(RLIMIT_CORE, &limit);
	limit.rlim_cur = 1;
	limit.rlim_max = MAX(limit.rlim_max, 1);
	(void)setrlimit(RLIMIT_CORE, &limit);
}

static bool kept_init(struct wb_kept *kept, const char *role, GError **error)
{
	int state_fd = inherit(WB_KEPT_FD_STATE);

	*kept = (struct wb_kept){
		.is_first = !strcmp(role, WB_KEPT_ROLE_FIRST),
		.link_fd = inherit(WB_KEPT_FD_LINK),
		.memory_fd = inherit(WB_KEPT_FD_MEMORY),
	};
	wb_kept_note_step(kept, WB_KEPT_BEGUN);
	leave_no_core();
	kept->session_fd = kept->is_first ? -1 : inherit(WB_KEPT_FD_FUSE);
	kept->clone_fd = kept->is_first ? -1 : inherit(WB_KEPT_FD_CLONE);
	kept->report_fd = kept->is_first ? inherit(WB_KEPT_FD_REPORT) : -1;
	kept->state = mmap(NULL, sizeof *kept->state, PROT_READ | PROT_WRITE, MAP_SHARED,
			   state_fd, 0);
	if (kept->state == MAP_FAILED)
		return wb_fail_errno(error, "this worker has no state of its keeper");
	close(state_fd);
	if (kept->state->version != WB_KEEPER_VERSION)
		return wb_fail(error, "this program is for a keeper of version %u, not %u",
			       WB_KEEPER_VERSION, kept->state->version);
	kept->area = (struct wb_kept_area *)kept->state->area;
	atomic_fetch_add(&kept->area->tries, 1);
	wb_lock_init(&kept->lock, WB_RANK_FRONTEND);
	return true;
}

/* --- its life --------------------------------------------------------------------------------- */

/* It is asked to stop by signals that began blocked: what came is heard now. */
static void unblock_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_UNBLOCK, &signals, NULL);
}

static void tell_failure(struct wb_kept *kept, const char *mount_point, const GError *error)
{
	const char *outcome = wb_kept_wait_outcome();

	if (!outcome) {
		g_critical("no other worker can take over %s: %s", mount_point, error->message);
		return;
	}
	g_critical("%s was unmounted while another worker waited to take over: %s", mount_point,
		   outcome);
	atomic_store(&kept->state->phase, WB_KEPT_ENDED);
}

static int serve(struct wb_kept *kept, const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	struct wb_daemon *daemon = wb_daemon_start(options, options->argument, kept, &error);
	int status;

	if (daemon && !options->foreground) {
		wb_report_to_log();
		wb_launch_let_go_of_terminal();
	}
	if (kept->report_fd >= 0)
		wb_launch_tell_parent(kept->report_fd, error);
	else if (error && kept->is_first)
		wb_report(error);
	if (!daemon) {
		if (!kept->is_first)
			tell_failure(kept, options->argument, error);
		return WB_EXIT_FAILED;
	}
	unblock_signals();
	switch (wb_daemon_run(daemon, &error)) {
	case WB_DAEMON_HANDED_OVER:
		atomic_store(&kept->state->phase, WB_KEPT_HANDED_OVER);
		return WB_EXIT_DONE;
	case WB_DAEMON_STOPPED:
		status = WB_EXIT_DONE;
		break;
	default:
		status = WB_EXIT_FAILED;
		if (options->foreground)
			wb_report(error);
		else
			g_critical("%s", error->message);
	}
	atomic_store(&kept->state->phase, WB_KEPT_ENDED);
	return status;
}

static int be_worker(const char *role)
{
	g_autoptr(GError) error = NULL;
	struct wb_options options;
	struct wb_kept kept;
	int status = WB_EXIT_FAILED;

	wb_options_init(&options);
	if (kept_init(&kept, role, &error) && wb_kept_area_read(kept.area, &options, &error)) {
		options.force = kept.is_first && kept.area->is_forced;
		wb_launch_ignore_signals();
		if (!kept.is_first && !options.foreground)
			wb_report_to_log();
		if (atomic_load(&kept.state->has_locks))
			wb_disk_trust_keeper(kept.is_first ? WB_DISK_IS_KEPT :
							     WB_DISK_TAKES_OVER);
		status = serve(&kept, &options);
	} else {
		wb_report(error);
	}
	wb_options_clear(&options);
	return status;
}

/* What a keeper asks a program before it hands a mount over to it. */
static int answer_probe(void)
{
	char text[128];

	g_snprintf(text, sizeof text, "wbfs keeper %u version %s\n", WB_KEEPER_VERSION,
		   PACKAGE_VERSION);
	return write(STDOUT_FILENO, text, strlen(text)) < 0 ? WB_EXIT_FAILED : WB_EXIT_DONE;
}

int wb_kept_main(void)
{
	g_autofree char *variable = g_strdup(g_getenv(WB_KEPT_VARIABLE));
	const char *role = strchr(variable, ' ');

	prctl(PR_SET_NAME, "wbfs");
	g_unsetenv(WB_KEPT_VARIABLE);
	role = role ? role + 1 : "";
	if (!strcmp(role, WB_KEPT_ROLE_PROBE))
		return answer_probe();
	return be_worker(role);
}

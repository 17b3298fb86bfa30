/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "support/nbd_server.h"

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool nbd_server_is_there(void)
{
	g_autofree char *path = g_find_program_in_path("nbdkit");

	return path != NULL;
}

static char *path_in(const struct nbd_server *server, const char *name)
{
	return g_build_filename(server->folder, name, NULL);
}

void nbd_server_restart(struct nbd_server *server)
{
	g_autofree char *socket = path_in(server, "socket"), *pid_file = path_in(server, "pid");
	g_autofree char *command = NULL, *text = NULL;
	int status;

	g_assert(!server->pid);
	unlink(socket);
	unlink(pid_file);
	command = g_str_has_prefix(server->arguments, "eval ") ?
		g_strdup_printf("nbdkit -U %s -P %s %s", socket, pid_file, server->arguments) :
		g_strdup_printf("nbdkit -U %s -P %s file %s %s", socket, pid_file,
				server->image, server->arguments);
	status = system(command);
	g_assert_cmpint(status, ==, 0);
	/* Written when it listens. */
	while (!g_file_get_contents(pid_file, &text, NULL, NULL) || !strchr(text, '\n')) {
		g_clear_pointer(&text, g_free);
		g_usleep(1000);
	}
	server->pid = (pid_t)atoi(text);
}

void nbd_server_start(struct nbd_server *server, uint64_t bytes, const char *arguments)
{
	int fd;

	*server = (struct nbd_server){ .arguments = g_strdup(arguments) };
	server->folder = g_dir_make_tmp("wb-nbd-XXXXXX", NULL);
	g_assert_nonnull(server->folder);
	server->image = path_in(server, "image");
	server->uri = g_strdup_printf("nbd+unix:///?socket=%s/socket", server->folder);
	fd = open(server->image, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(ftruncate(fd, (off_t)bytes), ==, 0);
	close(fd);
	nbd_server_restart(server);
}

/* It is no child of ours: gone when there is none of that number, or a zombie that nobody
 * reaps, in a container. Its first thread is one as soon as it has ended, while the others
 * may hold the sockets yet. */
static bool is_gone(const struct nbd_server *server)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)server->pid);
	g_autofree char *stat = NULL;
	long thread_count;
	char state;

	if (!g_file_get_contents(path, &stat, NULL, NULL))
		return true;
	g_assert_cmpint(sscanf(strrchr(stat, ')'), ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u"
			       " %*u %*u %*d %*d %*d %*d %ld", &state, &thread_count), ==, 2);
	return state == 'Z' && thread_count == 1;
}

void nbd_server_kill(struct nbd_server *server)
{
	if (!server->pid)
		return;
	kill(server->pid, SIGKILL);
	while (!is_gone(server))
		g_usleep(1000);
	server->pid = 0;
}

void nbd_server_look_after(struct nbd_server *server)
{
	if (!is_gone(server))
		return;
	server->pid = 0;
	nbd_server_restart(server);
}

static bool is_frozen(const struct nbd_server *server)
{
	g_autofree char *folder = g_strdup_printf("/proc/%d/task", (int)server->pid);
	g_autoptr(GDir) threads = g_dir_open(folder, 0, NULL);
	const char *thread;
	bool all = true;

	while (threads && all && (thread = g_dir_read_name(threads)) != NULL) {
		g_autofree char *path = g_strdup_printf("%s/%s/stat", folder, thread);
		g_autofree char *stat = NULL;

		all = !g_file_get_contents(path, &stat, NULL, NULL) || strstr(stat, ") T ");
	}
	return all;
}

void nbd_server_freeze(struct nbd_server *server)
{
	g_assert_cmpint(kill(server->pid, SIGSTOP), ==, 0);
	while (!is_frozen(server))
		g_usleep(1000);
}

void nbd_server_thaw(struct nbd_server *server)
{
	g_assert_cmpint(kill(server->pid, SIGCONT), ==, 0);
}

void nbd_server_end(struct nbd_server *server)
{
	static const char *const names[] = { "socket", "pid", "image" };

	nbd_server_kill(server);
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = path_in(server, names[i]);

		unlink(path);
	}
	g_rmdir(server->folder);
	g_free(server->folder);
	g_free(server->image);
	g_free(server->uri);
	g_free(server->arguments);
}

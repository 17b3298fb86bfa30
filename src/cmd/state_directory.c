/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/state_directory.h"

#include <string.h>
#include <unistd.h>

#define NAME_BYTES_MAX 200u	/* with a suffix and what a replacement adds below NAME_MAX */

char *wb_state_file_name(const char *name)
{
	g_autofree char *sum = NULL;

	while (*name == '/')
		name++;
	if (strlen(name) <= NAME_BYTES_MAX)
		return g_strdelimit(g_strdup(name), "/", '-');
	sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, name, -1);
	return g_strdelimit(g_strdup_printf("%.100s-%s", name, sum), "/", '-');
}

char *wb_state_file(const char *name, const char *suffix)
{
	g_autofree char *directory = geteuid() ? g_build_filename(g_get_user_state_dir(),
								  "wbfs", NULL) :
						 g_strdup("/var/lib/wbfs");
	g_autofree char *plain = wb_state_file_name(name);
	g_autofree char *file = g_strconcat(plain, suffix, NULL);

	return g_build_filename(directory, file, NULL);
}

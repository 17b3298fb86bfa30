/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `wbfs resize`: the image of a mounted volume, or a cache. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cmd/cache_resize.h"
#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/mount_table.h"
#include "cmd/report.h"
#include "cmd/size_parse.h"
#include "cmd/verb.h"

/* Older kernels ask for the size of a file only when somebody looks at it, and
 * `losetup -c` is none of these. */
static void have_kernel_look(const char *mount_point)
{
	g_autofree char *path = g_build_filename(mount_point, "disk", NULL);
	struct stat st;

	if (stat(path, &st))
		g_debug("%s: cannot be looked at", path);
}

/* 0 and an error: the volume cannot be asked. */
static uint64_t image_bytes(const char *mount_point, GError **error)
{
	g_autoptr(JsonNode) stats = wb_client_get_stats(mount_point, error);

	return stats ? wb_client_number(stats, "image_bytes") : 0;
}

static void print_sizes(const char *mount_point, uint64_t before, uint64_t now)
{
	char old_text[WB_SIZE_TEXT_BYTES], new_text[WB_SIZE_TEXT_BYTES];

	wb_size_format(before, old_text);
	wb_size_format(now, new_text);
	if (now == before)
		printf("the image of %s has %s (%" PRIu64 " bytes) already\n", mount_point,
		       new_text, now);
	else
		printf("the image of %s has grown from %s to %s (%" PRIu64 " bytes)\n",
		       mount_point, old_text, new_text, now);
}

static int resize_image(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *mount_point = wb_mount_table_resolve(options->argument, &error);
	uint64_t before = mount_point ? image_bytes(mount_point, &error) : 0;
	uint64_t wanted = options->size_bytes + (options->size_is_added ? before : 0);
	g_autofree char *request = g_strdup_printf("resize %" PRIu64, wanted);
	int status;

	if (!before)
		return wb_report(error);
	status = wb_verb_run(mount_point, &(struct wb_verb){
		.name = "resize",
		.request = request,
		.asked_key = "resizes_asked",
		.done_key = "resizes_done",
		.failed_key = "resizes_failed",
	});
	if (status != WB_EXIT_DONE)
		return status;
	have_kernel_look(mount_point);
	print_sizes(mount_point, before, wanted);
	return status;
}

int wb_cmd_resize(const struct wb_options *options)
{
	return options->size_bytes ? resize_image(options) : wb_cache_resize(options);
}

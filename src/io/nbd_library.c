/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/nbd_library.h"

#include <dlfcn.h>

#define LIBRARY "libnbd.so.0"

struct wb_nbd_library wb_nbd_library;

/* NULL, or what is missing. */
static char *load(void)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	const char *why = library ? NULL : dlerror();

	if (!library)
		return g_strdup(why ? why : LIBRARY);
#define WB_NBD_LOAD(name)                                                     \
	*(void **)&wb_nbd_library.name = dlsym(library, #name);               \
	if (!wb_nbd_library.name)                                             \
		return g_strdup(LIBRARY " has no " #name);
	WB_NBD_FUNCTIONS(WB_NBD_LOAD)
#undef WB_NBD_LOAD
	return NULL;
}

bool wb_nbd_library_load(GError **error)
{
	static gsize is_loaded;
	static char *problem;

	if (g_once_init_enter(&is_loaded)) {
		problem = load();
		g_once_init_leave(&is_loaded, 1);
	}
	if (problem)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
			    "libnbd is needed for a backing behind an NBD server, and cannot be "
			    "loaded: %s", problem);
	return !problem;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/nbd_uri.h"

#include <string.h>

#define PORT_DEFAULT 10809

static const char *const schemes[] = {
	"nbd", "nbds", "nbd+unix", "nbds+unix", "nbd+vsock", "nbds+vsock",
};

static const char *scheme_of(const char *text)
{
	const char *colon = strchr(text, ':');

	for (unsigned i = 0; colon && i < G_N_ELEMENTS(schemes); i++) {
		size_t length = (size_t)(colon - text);

		if (strlen(schemes[i]) == length && !g_ascii_strncasecmp(text, schemes[i], length))
			return schemes[i];
	}
	return NULL;
}

bool wb_nbd_uri_is(const char *text)
{
	const char *scheme = scheme_of(text);

	return scheme && !strncmp(text + strlen(scheme), "://", 3);
}

static char *refuse(GError **error, const char *uri, const char *why)
{
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
		    "%s: %s (expected nbd://HOST[:PORT]/EXPORT or "
		    "nbd+unix:///EXPORT?socket=PATH)", uri, why);
	return NULL;
}

static char *socket_of(GUri *parsed)
{
	const char *query = g_uri_get_query(parsed);
	g_autoptr(GHashTable) table = query ? g_uri_parse_params(query, -1, "&;",
								 G_URI_PARAMS_NONE, NULL) : NULL;

	return table ? g_strdup(g_hash_table_lookup(table, "socket")) : NULL;
}

static const char *export_of(GUri *parsed)
{
	const char *path = g_uri_get_path(parsed);

	/* One slash separates; what follows is the name, with slashes of its own. */
	return *path == '/' ? path + 1 : path;
}

static char *name_on_host(GUri *parsed, const char *uri, const char *scheme, GError **error)
{
	const char *host = g_uri_get_host(parsed);
	bool is_vsock = g_str_has_suffix(scheme, "+vsock");
	int port = g_uri_get_port(parsed);

	if (!host || !*host)
		return refuse(error, uri, "it names no host");
	return g_strdup_printf(strchr(host, ':') ? "%s://[%s]:%d/%s" : "%s://%s:%d/%s",
			       is_vsock ? "nbd+vsock" : "nbd", host,
			       port > 0 ? port : PORT_DEFAULT, export_of(parsed));
}

char *wb_nbd_uri_name(const char *uri, GError **error)
{
	const char *scheme = scheme_of(uri);
	g_autoptr(GError) problem = NULL;
	g_autoptr(GUri) parsed = g_uri_parse(uri, G_URI_FLAGS_NONE, &problem);

	if (!scheme || !parsed)
		return refuse(error, uri, problem ? problem->message : "it is no NBD URI");
	if (g_str_has_suffix(scheme, "+unix")) {
		g_autofree char *path = socket_of(parsed);

		if (!path || *path != '/')
			return refuse(error, uri, "it names no socket by an absolute path");
		return g_strdup_printf("nbd+unix:///%s?socket=%s", export_of(parsed), path);
	}
	return name_on_host(parsed, uri, scheme, error);
}

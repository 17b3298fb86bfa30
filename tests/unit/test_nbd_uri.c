/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <string.h>

#include "io/nbd_uri.h"

Test(nbd_uri, a_uri_of_the_nbd_project_is_one)
{
	cr_assert(wb_nbd_uri_is("nbd://host/export"));
	cr_assert(wb_nbd_uri_is("nbds://host:1234"));
	cr_assert(wb_nbd_uri_is("nbd+unix:///e?socket=/run/s"));
	cr_assert(wb_nbd_uri_is("NBDS+UNIX:///e?socket=/run/s"));
	cr_assert(wb_nbd_uri_is("nbd+vsock://2/e"));
}

Test(nbd_uri, a_path_is_none)
{
	cr_assert_not(wb_nbd_uri_is("/srv/nbd://x"));
	cr_assert_not(wb_nbd_uri_is("nbd"));
	cr_assert_not(wb_nbd_uri_is("nbd:x"));
	cr_assert_not(wb_nbd_uri_is("nbd.img"));
	cr_assert_not(wb_nbd_uri_is("http://host/"));
	cr_assert_not(wb_nbd_uri_is(""));
}

static void expect(const char *uri, const char *name)
{
	char *found = wb_nbd_uri_name(uri, NULL);

	cr_assert_str_eq(found, name, "%s gives %s", uri, found);
	g_free(found);
}

Test(nbd_uri, the_same_export_has_one_name)
{
	expect("nbd://host/export", "nbd://host:10809/export");
	expect("nbds://alice@host:10809/export?tls-certificates=/etc/x", "nbd://host:10809/export");
	expect("nbd://host", "nbd://host:10809/");
	expect("nbd://[::1]:99//slash/first", "nbd://[::1]:99//slash/first");
	expect("nbd+unix:///e?socket=/run/s", "nbd+unix:///e?socket=/run/s");
	expect("nbds+unix:///e?tls-certificates=/c&socket=/run/s", "nbd+unix:///e?socket=/run/s");
	expect("nbd+vsock://2/e", "nbd+vsock://2:10809/e");
}

static void refuse(const char *uri, const char *word)
{
	GError *error = NULL;

	cr_assert_null(wb_nbd_uri_name(uri, &error));
	cr_assert(strstr(error->message, uri), "%s", error->message);
	cr_assert(strstr(error->message, word), "%s", error->message);
	cr_assert(strstr(error->message, "nbd+unix:///EXPORT?socket=PATH"));
	g_clear_error(&error);
}

Test(nbd_uri, what_names_no_server_is_refused)
{
	refuse("nbd:///export", "it names no host");
	refuse("nbd+unix:///export", "names no socket by an absolute path");
	refuse("nbd+unix:///export?socket=relative", "names no socket by an absolute path");
	refuse("nbd://host:port/", "");
	refuse("http://host/", "it is no NBD URI");
}

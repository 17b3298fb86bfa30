/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <glib.h>
#include <stddef.h>
#include <string.h>

#include "keeper/notify.h"

static struct sockaddr_un address;
static socklen_t length;

Test(notify, a_path_is_an_address_with_its_zero)
{
	cr_assert(wb_notify_parse_address("/run/notify", &address, &length));
	cr_assert_str_eq(address.sun_path, "/run/notify");
	cr_assert_eq(length, offsetof(struct sockaddr_un, sun_path) + strlen("/run/notify") + 1);
}

Test(notify, an_abstract_name_begins_with_a_zero_and_has_none_at_its_end)
{
	cr_assert(wb_notify_parse_address("@name", &address, &length));
	cr_assert(!memcmp(address.sun_path, "\0name", 5));
	cr_assert_eq(length, offsetof(struct sockaddr_un, sun_path) + 5);
}

Test(notify, what_is_no_address_is_none)
{
	g_autofree char *longest = g_strnfill(sizeof address.sun_path - 1, '/');
	g_autofree char *too_long = g_strnfill(sizeof address.sun_path, '/');

	cr_assert_not(wb_notify_parse_address("", &address, &length));
	cr_assert_not(wb_notify_parse_address("@", &address, &length));
	cr_assert_not(wb_notify_parse_address("/", &address, &length));
	cr_assert_not(wb_notify_parse_address("vsock:2:1234", &address, &length));
	cr_assert(wb_notify_parse_address(longest, &address, &length));
	cr_assert_not(wb_notify_parse_address(too_long, &address, &length));
}

Test(notify, where_nobody_asked_nothing_happens)
{
	g_unsetenv("NOTIFY_SOCKET");
	wb_notify("READY=1");
	g_setenv("NOTIFY_SOCKET", "/nowhere/socket", TRUE);
	wb_notify("READY=1");
}

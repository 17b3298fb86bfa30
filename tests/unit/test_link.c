/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper/guard.h"
#include "keeper/link.h"

static int ends[2];
static struct wb_link_message message;
static int fd;

static void setup(void)
{
	cr_assert(wb_link_make(ends));
}

TestSuite(link, .init = setup);

Test(link, a_message_comes_whole_and_alone)
{
	cr_assert(wb_link_send(ends[0], WB_LINK_UPGRADE, "/usr/bin/wbfs", -1));
	cr_assert(wb_link_send(ends[0], WB_LINK_SERVING, "", -1));
	cr_assert(wb_link_receive(ends[1], &message, &fd));
	cr_expect_eq(message.kind, WB_LINK_UPGRADE);
	cr_expect_str_eq(message.text, "/usr/bin/wbfs");
	cr_expect_eq(fd, -1);
	cr_assert(wb_link_receive(ends[1], &message, &fd));
	cr_expect_eq(message.kind, WB_LINK_SERVING);
	cr_expect_str_eq(message.text, "");
}

Test(link, a_descriptor_comes_with_it)
{
	int file = memfd_create("some", 0);
	struct stat sent, received;

	cr_assert(wb_link_send(ends[0], WB_LINK_MOUNTED, "", file));
	cr_assert(wb_link_receive(ends[1], &message, &fd));
	cr_assert_geq(fd, 0);
	cr_assert_eq(fstat(file, &sent) | fstat(fd, &received), 0);
	cr_expect_eq(sent.st_ino, received.st_ino);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

Test(link, what_is_too_long_is_cut_off)
{
	static char text[2 * WB_LINK_TEXT_BYTES];

	memset(text, 'x', sizeof text - 1);
	cr_assert(wb_link_send(ends[0], WB_LINK_BUSY, text, -1));
	cr_assert(wb_link_receive(ends[1], &message, &fd));
	cr_expect_eq(strlen(message.text), WB_LINK_TEXT_BYTES - 1);
}

Test(link, a_death_is_its_end_after_what_was_said)
{
	cr_assert(wb_link_send(ends[0], WB_LINK_SERVING, "", -1));
	close(ends[0]);
	cr_expect(wb_link_receive(ends[1], &message, &fd));
	cr_expect_not(wb_link_receive(ends[1], &message, &fd));
	cr_expect_not(wb_link_send(ends[1], WB_LINK_HAND_OVER, "", -1));
}

Test(link, a_guard_is_in_the_way_of_others_as_they_come_to_read_or_write)
{
	char path[] = "/tmp/wbfs-guard.XXXXXX";
	int other = mkstemp(path), guard, shared;

	cr_assert_geq(other, 0);
	cr_expect_not(wb_guard_is_held(other, false));
	guard = wb_guard_take(path, false);
	cr_assert_geq(guard, 0);
	cr_expect(wb_guard_is_held(other, false));
	cr_expect(wb_guard_is_held(other, true));
	cr_expect_lt(wb_guard_take(path, true), 0);
	close(guard);
	shared = wb_guard_take(path, true);
	cr_assert_geq(shared, 0);
	cr_expect(wb_guard_is_held(other, false));
	cr_expect_not(wb_guard_is_held(other, true));
	unlink(path);
}

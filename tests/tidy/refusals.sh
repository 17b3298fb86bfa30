#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every message that a person can get is looked for, by its own words, in some
# test: some letters of it in a row, which few other messages have, stand in a
# string of a test.
# What no test can provoke is named at the end, with the reason.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
command -v perl >/dev/null || { echo "needs perl"; exit 77; }

perl - "$top" <<'END'
use strict;
use warnings;
use File::Find;

my $top = $ARGV[0];
my $least = 10;		# letters of a piece that says anything
my $window = 16;	# letters in a row that a test has to name
my $most = 3;		# messages that may share them
my $calls = qr/\b(?:g_set_error(?:_literal)?|g_prefix_error|wb_fail(?:_errno)?|wb_report_note|
	wb_message_set|wb_message_note|wb_cache_add_event|wb_usage\w*|refuse\w*|wb_recovery_refuse|io_error|g_warning|g_message|
	wb_lost_list_add|wb_interrupt_report)\s*\(/x;

sub slurp {
	open my $file, '<', $_[0] or die "$_[0]: $!";
	local $/;
	return scalar <$file>;
}

sub files {
	my ($directory, $pattern) = @_;
	my @found;
	find({ no_chdir => 1, wanted => sub { push @found, $_ if -f && /$pattern/ } }, $directory);
	return sort @found;
}

# The text from an opening parenthesis to the one that closes it.
sub arguments {
	my ($text, $at) = @_;
	my $depth = 0;
	pos($text) = $at;
	while ($text =~ /\G(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|([()])|[^"'()]+)/gs) {
		next unless defined $1;
		$depth += $1 eq '(' ? 1 : -1;
		return substr($text, $at, pos($text) - $at) if $depth == 0;
	}
	return substr($text, $at, 200);
}

# Neighbouring literals are one, PRIu64 and the like between them too.
sub literals {
	my ($text) = @_;
	my @all;
	while ($text =~ /("(?:\\.|[^"\\])*"(?:\s*(?:(?:PRI[a-z0-9]+|G_GINT64_MODIFIER|G_GUINT64_FORMAT)\s*)?"(?:\\.|[^"\\])*"|\s*(?:PRI[a-z0-9]+|G_GUINT64_FORMAT))*)/gs) {
		my $one = $1;
		$one =~ s/"\s*(?:PRI[a-z0-9]+|G_GINT64_MODIFIER|G_GUINT64_FORMAT)\s*"/u/g;
		$one =~ s/"\s*"//g;
		$one =~ s/^"|"(?:\s*\w+)?$//g;
		$one =~ s/\\"/"/g;
		$one =~ s/\\[nt]/ /g;
		push @all, $one;
	}
	return @all;
}

sub pieces {
	my @pieces = split /%[-+ #0]*(?:\d+|\*)?(?:\.\d+)?(?:[hlzj]*)[a-zA-Z]?/, $_[0];
	s/^[\s:;,.']+|[\s:;,.']+$//g for @pieces;
	return grep { length >= $least } @pieces;
}

my %messages;
for my $file (files("$top/src", qr/\.c$/)) {
	my $text = slurp($file);
	$text =~ s{/\*.*?\*/}{}gs;
	while ($text =~ /$calls/g) {
		my @literals = literals(arguments($text, pos($text) - 1));
		for my $literal (@literals) {
			my @pieces = pieces($literal);
			my $name = $file =~ s{^\Q$top\E/}{}r;
			$messages{$literal} = { file => $name, pieces => \@pieces } if @pieces;
		}
	}
}

my %said;
for my $file (files("$top/tests", qr/\.(?:c|sh)$/)) {
	next if $file =~ m{/tidy/};
	my $text = slurp($file);
	my @strings;
	if ($file =~ /\.c$/) {
		@strings = literals($text);
	} else {
		$text =~ s/^\s*#.*$//mg;
		push @strings, $1 while $text =~ /'([^'\n]*)'/g;
		push @strings, $1 while $text =~ /"((?:\\.|[^"\\\n])*)"/g;
	}
	for (@strings) {
		s/\\(.)/$1/g;
		for my $piece (split /%[a-z.*]+|\$\(\(.*?\)\)|\$\w+|\$\{[^}]*\}|\.\*/, $_) {
			$piece =~ s/^[\s:;,.'^]+|[\s:;,.'\$]+$//g;
			$said{$piece} = 1 if length $piece >= $least;
		}
	}
}
my $said = join "\n", sort keys %said;

my %allowed;
while (<DATA>) {
	chomp;
	my ($text, $reason) = split /\t+/;
	die "no reason: $_\n" unless $reason;
	$allowed{$text} = 0;
}

sub is_shared {
	my ($words) = @_;
	return grep({ index($_, $words) >= 0 } keys %messages) > $most;
}

# Any few words in a row of it.
sub is_tested {
	my ($message) = @_;
	for my $piece (@{$message->{pieces}}) {
		my $length = length $piece < $window ? length $piece : $window;
		for my $at (0 .. length($piece) - $length) {
			my $words = substr $piece, $at, $length;
			return 1 if index($said, $words) >= 0 && !is_shared($words);
		}
	}
	return 0;
}

my $bad = 0;
for my $text (sort { $messages{$a}{file} cmp $messages{$b}{file} } keys %messages) {
	my @reasons = grep { index($text, $_) >= 0 } keys %allowed;
	$allowed{$_}++ for @reasons;
	next if @reasons || is_tested($messages{$text});
	print "$messages{$text}{file}: no test looks for: $text\n";
	$bad++;
}
for my $text (sort keys %allowed) {
	next if $allowed{$text};
	print "no message has the words that need no test: $text\n";
	$bad++;
}
printf "%d messages\n", scalar keys %messages;
die "this test found too few messages\n" if keys %messages < 100;
exit($bad != 0);
__DATA__
cannot get %zu MiB of memory for	no memory
cannot get %u KiB of memory for	no memory
cannot get %zu bytes of memory	no memory
cannot get memory for %u requests	no memory
not enough memory to look at	no memory
there is not enough memory	no memory
the kernel refused an entry of FUSE's queue	nothing is registered that it refuses
no file can be registered with io_uring	/dev/fuse is open, and a new ring takes one file
there are too many processors for the memory	unit/test_ring_plan.c sees 1000 of them refused
are no image: a multiple of %u	core/test_bare.c looks for the number in it
drain now	core/test_scrub.c looks for these last words
cannot get random bytes	getrandom() does not fail
cannot leave the current directory	chdir("/") does not fail
is a mount whose daemon is gone	the kernel keeps the attributes of the mount point for long
the daemon was killed by signal	only within the moments of its start
cannot give %s back to its owner	root may give it
the daemon ended with status	it says first why it ends
cannot empty %s	a file that was just opened for writing can be made empty
cannot sync %s	the directory in which a file was just made
cannot sync the directory of %s	the directory in which a file was just made
cannot lock %s %s	all that flock can say but EWOULDBLOCK, which is tested
: cannot look at it	fstat of an open file does not fail
the lock file of %s cannot be written	a file that was just made for that
cannot make an event descriptor	the process has descriptors left
cannot read the size of the device	nor does this of an open device
cannot read backing %s	a backing that fails at its first byte; opening it has said more
is a device, whose name may have changed	a backing marked by a cache on a device: its name is not certain
cannot remove an older mark	the file system of the mark fails between two calls
cannot duplicate the descriptor	no descriptors left in the middle of the start
dirty; writes wait for that	the file system of the mark fails under a mounted volume
is complete, but cannot be marked so	the file system of the mark fails under a mounted volume
cannot be marked as %s	the file system of the mark fails under a mounted volume
What was not synced may not be on	the last flush of a backing used alone fails; core/test_bare.c sees it fail
sectors of %d bytes, expected	no such disk is made
interrupted before anything was written	never shown: what was interrupted is said instead
and this program is for version %u	there has been one version only; a program of another is refused in keeper.sh
was not stopped cleanly before it is handed over	the last flush fails just after one that did not
this worker has no state of its keeper	a keeper that gives its worker no state
has no memory	no memory
no memory to remember the image by	no memory
mount option	what wb_usage_unknown() completes; unit/test_options.c
END

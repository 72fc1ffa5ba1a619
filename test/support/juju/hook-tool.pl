#!/usr/bin/perl -w
# Every hook tool of the simulated Juju: which one is the name it was called by. It knows nothing, it asks the agent that
# JUJU_AGENT_SOCKET_ADDRESS names, as the real one does. Each number is four bytes, the highest first.
#   to the agent    count of texts, then length and bytes of each: context id, directory, environment, tool, arguments
#   from the agent  "I": send what is on standard input (length and bytes), and read on
#                   "D", exit code, length and bytes of stdout, length and bytes of stderr
# A life of a fleet calls tens of thousands of them: no module but strict, for loading Socket takes four times as long as all the rest.
use strict;

my ($pf_unix, $sock_stream) = (1, 1); # Of Linux.

sub refuse { print STDERR "ERROR $_[0]\n"; exit 1 }

my $context = $ENV{JUJU_CONTEXT_ID};
my $address = $ENV{JUJU_AGENT_SOCKET_ADDRESS};
refuse('JUJU_CONTEXT_ID not set') unless defined $context && length $context;
refuse('JUJU_AGENT_SOCKET_ADDRESS not set') unless defined $address && length $address;

socket(my $agent, $pf_unix, $sock_stream, 0) or refuse("cannot make a socket: $!");
connect($agent, pack('S a*', $pf_unix, "$address\0")) or refuse("dial unix $address: connect: $!");

sub send_all {
  my ($bytes) = @_;
  for (my $at = 0; $at < length $bytes;) {
    my $sent = syswrite($agent, $bytes, length($bytes) - $at, $at);
    refuse('connection is shut down') unless defined $sent;
    $at += $sent;
  }
}

sub receive {
  my ($count) = @_;
  my $bytes = '';
  while (length $bytes < $count) {
    my $read = sysread($agent, $bytes, $count - length $bytes, length $bytes);
    refuse('connection is shut down') unless $read;
  }
  return $bytes;
}

sub receive_text { return receive(unpack('N', receive(4))) }

my ($tool) = $0 =~ m{([^/]+)$};
# As everybody on the machine can read it who is the same account.
my $environment = join("\0", map { "$_=$ENV{$_}" } sort keys %ENV);
my @texts = ($context, readlink('/proc/self/cwd') // '/', $environment, $tool, @ARGV);
$SIG{PIPE} = 'IGNORE';
send_all(pack('N', scalar @texts) . join('', map { pack('N', length) . $_ } @texts));

my $kind = receive(1);
if ($kind eq 'I') {
  binmode STDIN;
  local $/;
  my $input = <STDIN> // '';
  send_all(pack('N', length $input) . $input);
  $kind = receive(1);
}
my $code = unpack('N', receive(4));
my $stdout = receive_text();
my $stderr = receive_text();
binmode STDOUT;
binmode STDERR;
print STDOUT $stdout;
print STDERR $stderr;
close STDOUT;
exit $code;

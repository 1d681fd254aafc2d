# What the documents and the comments of examples tell a reader to type can be pasted into sh, bash and zsh as it
# stands: it is all command. zsh, as people use it, knows no comments, and takes ?, * and [ without quotes for patterns
# that have to match.

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use ProcessTest;

my $COMMAND = qr{(?:
    (?:sudo|env|cc|nc|make|perl|prove|cargo|curl|kill|man|git|apt-get|cat)[ ]
    | \.{0,2}/?(?:script|examples)/
    | \./
)}x;

sub slurp {
    my $file = shift;
    open my $fh, '<', $file or die "$file: $!";
    local $/;
    return readline($fh) =~ s/^```.*?^```$//gmsr;
}

my %commands_in;
for my $file (sort glob '*.md docs/*.md man/*.pod examples/* script/demo') {
    my $text     = slurp($file);
    my @commands = ($text =~ /^(?: \*|#)? {4,5}($COMMAND.*)$/mg, $text =~ /^\| `($COMMAND[^`]*)`/mg);
    s{ \*/\z}{} for @commands;
    $commands_in{$file} = \@commands if @commands;
}
cmp_ok scalar(keys %commands_in), '>=', 5, 'commands are found';

sub path_of {
    my $program = shift;
    return (grep { -x } map { "$_/$program" } split /:/, $ENV{PATH})[0];
}

my @shells = grep { defined } map { path_of($_) } qw(sh bash zsh dash ksh);
for my $file (sort keys %commands_in) {
    for my $command (@{ $commands_in{$file} }) {
        my $plain = $command =~ s/'[^']*'|"[^"]*"/QUOTED/gr;
        unlike $plain, qr/(?:^|\s)#|\s{2,}\S/, "$file: all of it is command: $command";
        is_deeply [grep { /[?*\[]/ && !grep { -e } glob } split ' ', $plain], [], "$file: patterns match: $command";
        for my $shell (@shells) {
            my $run = run(undef, command => [$shell, '-n', '-c', $command]);
            is $run->status . $run->err, '0', "$file: $shell can read: $command";
        }
    }
}

done_testing;

package Bench::Table;

# The results, for people: as text with the spread, and in Markdown.

use strict;
use warnings;
use utf8;

use Bench::Statistics qw(summary);

# text(FIGURE): its rows; of each value the median, the quartiles and the extremes.
sub text {
    my $figure = shift;
    my $text = "\n$figure->{title}\n";
    for my $row (@{ $figure->{rows} }) {
        $text .= "  $row->{name}, $row->{unit}" . ($row->{note} ? " ($row->{note})" : '') . "\n";
        for my $value (@{ $row->{values} }) {
            $text .= sprintf '    %-24s', label($value->{who});
            if (!$value->{samples}) {
                $text .= "skipped: $value->{missing}\n";
                next;
            }
            my $is = summary(@{ $value->{samples} });
            my %is = map { $_ => number($row, $is->{$_}) } keys %$is;
            $text .= sprintf '%8s', $is{median};
            $text .= "   quartiles $is{q1} to $is{q3}, all $is{min} to $is{max}" if @{ $value->{samples} } > 1;
            $text .= '   goal ' . goal($row, $value) . (reached($row, $value) ? ': reached' : ': NOT REACHED')
                if defined $value->{goal};
            $text .= "\n";
        }
    }
    return $text;
}

# markdown(\@figures): a table of all rows, with a column for ours, for the original, and for others.
sub markdown {
    my $figures = shift;
    my $text = "| figure | unit | goal | ours | original | others |\n|---|---|---|---|---|---|\n";
    for my $figure (@$figures) {
        $text .= "| **$figure->{title}** | | | | | |\n";
        for my $row (@{ $figure->{rows} }) {
            my %cell = map { $_->{who} => _cell($row, $_) } @{ $row->{values} };
            my ($ours) = grep { $_->{who} eq 'ours' } @{ $row->{values} };
            my @others = map { label($_->{who}) . ': ' . $cell{ $_->{who} } }
                grep { $_->{who} ne 'ours' && $_->{who} ne 'original' } @{ $row->{values} };
            $text .= join(' | ', "| $row->{name}", $row->{unit},
                $ours && defined $ours->{goal} ? goal($row, $ours) : '–',
                $cell{ours} || '–', $cell{original} || '–', join('<br>', @others, $row->{note} || ())) . " |\n";
        }
    }
    my $machine = $figures->[0]{machine};
    my %commits = map { ($_->{machine}{commit} || '') => 1 } @$figures;
    return $text . "\nMedians, with the quartiles in parentheses. $machine->{cpu}, $machine->{cores} cores, "
        . sprintf('%.0f GB', $machine->{memory_mb} / 1024)
        . ", $machine->{kernel}, perl $machine->{perl}; libprefork $machine->{libprefork} at "
        . join(', ', sort keys %commits) . '; Parallel::Prefork ' . ($machine->{original} || '(not fetched)')
        . ', Parallel::ForkManager ' . ($machine->{forkmanager} || '(not fetched)') . ".\n";
}

sub _cell {
    my ($row, $value) = @_;
    return $value->{missing} if !$value->{samples};
    my $is = summary(@{ $value->{samples} });
    my $median = number($row, $is->{median});
    $median = "**$median**" if defined $value->{goal} && reached($row, $value);
    my $spread = @{ $value->{samples} } > 1
        ? ' (' . number($row, $is->{q1}) . '–' . number($row, $is->{q3}) . ')' : '';
    my $goal = defined $value->{goal} && $value->{who} ne 'ours' ? ', goal ' . goal($row, $value) : '';
    return "$median$spread$goal";
}

sub label {
    my $who = shift;
    $who =~ s/^forkmanager/Parallel::ForkManager/;
    return $who;
}

sub number {
    my ($row, $number) = @_;
    return sprintf "%.$row->{digits}f", $number;
}

sub goal {
    my ($row, $value) = @_;
    return ($row->{better} eq 'more' ? '≥ ' : '≤ ') . ($value->{goal} + 0);
}

# As it is printed: 0.896 is 0.90.
sub reached {
    my ($row, $value) = @_;
    my $median = number($row, summary(@{ $value->{samples} })->{median});
    return $row->{better} eq 'more' ? $median >= $value->{goal} : $median <= $value->{goal};
}

1;

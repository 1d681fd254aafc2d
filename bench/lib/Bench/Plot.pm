package Bench::Plot;

# The rows as bars: an SVG file that needs nothing else, for light and dark pages.

use strict;
use warnings;
use utf8;

use Bench::Statistics qw(summary);
use Bench::Table      ();

my $WIDTH  = 900;
my $LEFT   = 200;    # where bars begin; their names end a little before
my $LENGTH = 500;    # of the longest bar
my $LINE   = 20;

my $STYLE = <<'CSS';
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 15px }
.unit, { fill: #59636e }
.ours { fill: #2f81f7 } .option { fill: #8250df } .other { fill: #9198a1 }
.spread { stroke: #1f2328; stroke-width: 1.2; fill: none }
.goal { stroke: #cf222e; stroke-width: 2; stroke-dasharray: 4 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .unit, { fill: #9198a1 }
  .other { fill: #656c76 } .spread { stroke: #e6edf3 } .goal { stroke: #ff7b72 }
}
CSS

# write(PATH, \@figures)
sub write {
    my ($path, $figures) = @_;
    my $y    = 24;
    my $body = _text(16, $y, '', 'Bar: median. Line on it: from the lowest to the highest, and the quartiles. '
        . 'Dashed: the goal. Each row has a scale of its own, from 0.');
    for my $figure (@$figures) {
        $y += 2 * $LINE;
        $body .= _text(16, $y, 'title', $figure->{title});
        for my $row (@{ $figure->{rows} }) {
            $body .= _row($row, \$y);
        }
    }
    $y += $LINE;
    open my $file, '>:encoding(UTF-8)', "$path.new" or die "$path.new: $!\n";
    print {$file} qq{<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $WIDTH $y" width="$WIDTH" height="$y"},
        qq{ role="img" aria-label="Benchmark results">\n<style>\n$STYLE</style>\n$body</svg>\n};
    close $file or die "$path.new: $!\n";
    rename "$path.new", $path or die "$path: $!\n";
    return;
}

sub _row {
    my ($row, $y) = @_;
    my @values = grep { $_->{samples} } @{ $row->{values} };
    my %is     = map { $_->{who} => summary(@{ $_->{samples} }) } @values;
    my $most   = 0;
    for my $number ((map { $_->{max} } values %is), map { defined $_->{goal} ? $_->{goal} : () } @values) {
        $most = $number if $number > $most;
    }
    my $scale = $most ? $LENGTH / $most : 0;
    my $at    = sub { my $x = $LEFT + $scale * $_[0]; return sprintf '%.1f', $x < $LEFT ? $LEFT : $x };

    $$y += $LINE + 6;
    my $svg = _text(16, $$y, 'unit', "$row->{name}, $row->{unit}");
    for my $value (@{ $row->{values} }) {
        $$y += $LINE;
        my $middle = $$y - 4;
        my $label  = Bench::Table::label($value->{who});
        $svg .= _text($LEFT - 8, $$y, '', $label, 'end');
        if (!$value->{samples}) {
            $svg .= _text($LEFT + 4, $$y, 'unit', $value->{missing});
            next;
        }
        my $is    = $is{ $value->{who} };
        my %x     = map { $_ => $at->($is->{$_}) } keys %$is;
        my $class = $value->{who} eq 'ours' ? 'ours' : $value->{who} =~ /^ours/ ? 'option' : 'other';
        $svg .= sprintf qq{<rect class="%s" x="%s" y="%s" width="%.1f" height="14" rx="2"/>\n},
            $class, $LEFT, $middle - 7, $x{median} - $LEFT;
        my ($top, $bottom) = ($middle - 4, $middle + 4);
        $svg .= qq{<path class="spread" d="M$x{min} ${middle}H$x{max}M$x{q1} ${top}V${bottom}M$x{q3} ${top}V${bottom}"/>\n};
        if (defined $value->{goal}) {
            my $x = $at->($value->{goal});
            $svg .= sprintf qq{<path class="goal" d="M%s %sV%s"/>\n}, $x, $middle - 9, $middle + 9;
        }
        my $text = Bench::Table::number($row, $is->{median});
        $text .= ', goal ' . Bench::Table::goal($row, $value) if defined $value->{goal};
        $svg .= _text($LEFT + $LENGTH + 12, $$y, 'value', $text);
    }
    return $svg;
}

sub _text {
    my ($x, $y, $class, $text, $anchor) = @_;
    my %entity = ('&' => '&amp;', '<' => '&lt;', '>' => '&gt;');
    $text =~ s/([&<>])/$entity{$1}/g;
    return qq{<text x="$x" y="$y"} . ($class ? qq{ class="$class"} : '')
        . ($anchor ? qq{ text-anchor="$anchor"} : '') . ">$text</text>\n";
}

1;

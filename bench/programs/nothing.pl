# nothing.pl
#
# Perl's -M loads the module to measure, so even strict would be in the way.
## no critic (RequireUseStrict)

1;

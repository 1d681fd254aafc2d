# nothing.pl
#
# What is to be measured is loaded with perl's -M.
# So even strict would be in the way.
## no critic (RequireUseStrict)

1;

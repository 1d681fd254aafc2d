package Parallel::Prefork::Alone;

# Loads the shared object of Parallel::Prefork without XSLoader: perl/internals/README.md has what that buys. It does what
# XSLoader does, by the functions that perl has built in and documents in DynaLoader. True if it is loaded. What is not where it
# should be, or does not load, is left to XSLoader, which knows more places and says what is wrong.

use v5.12;

our $VERSION = '1.00';

# The newest perl that it was tried with.
return 0 if $] >= 5.043 || !defined &DynaLoader::boot_DynaLoader;

my $file = substr(__FILE__, 0, -length 'Parallel/Prefork/Alone.pm') . 'auto/Parallel/Prefork/Prefork.so';
return 0 if !-f $file;

DynaLoader::boot_DynaLoader('DynaLoader') if !defined &DynaLoader::dl_load_file;
my $library = DynaLoader::dl_load_file($file, 0) or return 0;
my $boot    = DynaLoader::dl_find_symbol($library, 'boot_Parallel__Prefork') or return 0;

# What a program unloads at its end.
push @DynaLoader::dl_librefs,        $library;
push @DynaLoader::dl_modules,        'Parallel::Prefork';
push @DynaLoader::dl_shared_objects, $file;

DynaLoader::dl_install_xsub('Parallel::Prefork::bootstrap', $boot, $file)->('Parallel::Prefork', $Parallel::Prefork::VERSION);

1;

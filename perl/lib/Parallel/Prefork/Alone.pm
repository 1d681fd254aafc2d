package Parallel::Prefork::Alone;

# Loads the shared object of Parallel::Prefork without XSLoader, and returns true if it has. That is for programs that load no
# other object: perl/internals/README.md has what it buys. It makes the calls that XSLoader makes. Perl has these functions
# built in; DynaLoader documents all but boot_DynaLoader, which defines the others. What is not where it should be, or does not
# load, is left to XSLoader, which knows more places and says what is wrong.

use v5.12;

our $VERSION = '1.00';

# Not with a perl that is newer than those that it was tried with, nor where all objects are linked into perl.
return 0 if $] >= 5.043 || !defined &DynaLoader::boot_DynaLoader;

my $file = substr(__FILE__, 0, -length 'Parallel/Prefork/Alone.pm') . 'auto/Parallel/Prefork/Prefork.so';
return 0 if !-f $file;

DynaLoader::boot_DynaLoader('DynaLoader') if !defined &DynaLoader::dl_load_file;
my $library = DynaLoader::dl_load_file($file, 0) or return 0;
my $boot    = DynaLoader::dl_find_symbol($library, 'boot_Parallel__Prefork') or return 0;

# Who unloads what perl has loaded (mod_perl) finds it there.
push @DynaLoader::dl_librefs,        $library;
push @DynaLoader::dl_modules,        'Parallel::Prefork';
push @DynaLoader::dl_shared_objects, $file;

my $bootstrap = DynaLoader::dl_install_xsub('Parallel::Prefork::bootstrap', $boot, $file);
$bootstrap->('Parallel::Prefork', $Parallel::Prefork::VERSION);

1;

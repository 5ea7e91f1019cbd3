"""`python workflow/lib PHASE VERB ...`: the package's command line without installing anything."""

from radnet3d.cli import main

main()

"""What several tests build on: environments without a conda channel, a folder in which the workflow can run."""

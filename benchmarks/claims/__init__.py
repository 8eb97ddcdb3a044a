"""What the papers claim, measured: one script a claim, one file a finished run, one page."""

"""What normalization costs, beside un-normalized networks and beside every peer."""

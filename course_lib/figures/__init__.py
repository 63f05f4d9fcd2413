"""What a page draws: diagrams of networks and blocks, plots of runs, in one palette."""

"""What the paper claims, measured on runs of several seeds: conditions, measures, effects with intervals, verdicts."""

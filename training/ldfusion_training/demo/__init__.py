"""What ``make demo`` runs: recording, nodes, judgement."""

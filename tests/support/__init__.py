"""What the tests, the benchmarks and the auditor share. No test stands here."""

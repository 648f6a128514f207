"""The console in a real browser: what people do, what attackers leave behind, how it looks and how fast it is."""

"""What is in a text: detectors that turn prompts, completions and arguments into facts."""

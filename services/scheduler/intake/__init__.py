"""The intake: makes jobs of what programs in any language published."""

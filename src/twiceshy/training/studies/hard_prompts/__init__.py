"""Parts of the study on over-hard prompts."""

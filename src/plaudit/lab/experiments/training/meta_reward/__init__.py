"""A reward that is to keep telling completions apart when the policy moves."""

"""Is it better to learn from completions whose rewards can be relied on?"""

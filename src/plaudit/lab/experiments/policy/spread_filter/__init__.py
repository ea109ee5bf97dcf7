"""Does it help to leave out the prompts whose rewards hardly differ?"""

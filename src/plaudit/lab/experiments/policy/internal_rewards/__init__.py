"""Does drawing a policy's two internal rewards together keep self-rewarding from learning its own mistakes?"""

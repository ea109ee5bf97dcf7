"""What does a policy learn from a verifier that time-outs are hidden from?"""

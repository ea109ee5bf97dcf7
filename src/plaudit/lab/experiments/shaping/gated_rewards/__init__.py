"""Do step rewards behind a gate leave a policy its outcome, where added ones take it away?"""

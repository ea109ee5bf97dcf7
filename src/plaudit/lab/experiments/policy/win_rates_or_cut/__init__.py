"""Do win rates do more against scores that are far too high than cutting the highest?"""

"""Is a policy that is told which score to reach better than one that only learns which answer won?"""

"""Does one policy that is told a direction between two aspects reach a better front than several that each have one?"""

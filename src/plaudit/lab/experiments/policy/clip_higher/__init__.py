"""Does a higher upper bound of the ratio keep a policy from losing its entropy, and with it its tries?"""

"""How far does a policy drift where it was shown nothing?"""

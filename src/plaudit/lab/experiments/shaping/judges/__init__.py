"""Do judges keep a policy from arms on which the proxy is inflated?"""

"""Does agreement with the model before keep self-rewarding from teaching itself its own mistakes?"""

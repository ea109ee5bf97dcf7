"""Do token rewards that are learnt from outcomes alone speed up long chains with rare successes?"""

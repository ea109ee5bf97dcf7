"""Does trust in a judge of the reasoning keep flashy reasoning from deciding against right answers?"""

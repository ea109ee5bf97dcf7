"""Does asking in both orders mend a judge that learnt that the better one is shown first?"""

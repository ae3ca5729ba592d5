"""Does stock `subctl verify` come to the same results?"""

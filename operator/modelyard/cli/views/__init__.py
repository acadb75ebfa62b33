"""What is seen: values in, rows, trees and text out. Asking anybody, and the clock, do not
belong here: `now` is an argument.
"""

"""What users see: pure functions from values to rows, trees and text.

I/O and the clock do not belong here: the time is an argument.
"""

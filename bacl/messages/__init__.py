"""What is said: errors that name the mend, texts from data as a terminal shows them, what may fail.

Imports: nothing.
"""

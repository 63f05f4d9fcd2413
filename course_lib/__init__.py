"""The thin library behind *Micro-Architectures: convolutional networks by experiment*.

Importing it is cheap: Keras is loaded only by the functions that need it.
"""

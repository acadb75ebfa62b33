"""What GitOps engines make of our objects: Argo CD's and Flux's own code, asked by a small Go
program.
"""

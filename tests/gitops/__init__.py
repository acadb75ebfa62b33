"""What GitOps engines show for modelyard's objects, by Argo CD's and Flux's own code."""

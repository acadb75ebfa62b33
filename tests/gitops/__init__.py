"""How GitOps engines show modelyard's objects, by Argo CD's and Flux's own code."""

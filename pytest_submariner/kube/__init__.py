"""One cluster's Kubernetes API. The only package that imports `kubernetes`, and not before it is used."""

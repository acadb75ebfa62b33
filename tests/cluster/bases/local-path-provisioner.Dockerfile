FROM scratch
COPY local-path-provisioner /local-path-provisioner
ENV PATH=/usr/local/bin
ENTRYPOINT ["/local-path-provisioner"]

FROM scratch
COPY coredns /coredns
ENV PATH=/usr/local/bin
ENTRYPOINT ["/coredns"]
